import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Props {
  /** Also the id of its title, so one of a kind at a time. */
  readonly name: string;
  readonly title: string;
  readonly onCancel: () => void;
  readonly children: ComponentChildren;
  readonly isWide?: boolean;
}

const STOPS = ["button", "input", "select", "textarea"].map((stop) => `${stop}:not([disabled])`).join(",");

/** A dialog over the page. What is marked `data-first` has the focus: the harmless way out. */
export function Modal({ name, title, onCancel, children, isWide = false }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const opener = document.activeElement;
    const shown = dialog.current;
    shown?.showModal();
    shown?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      // While it is shown the rest of the page is inert and takes no focus.
      shown?.close();
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);

  return (
    <dialog
      ref={dialog}
      class={`modal ${isWide ? "wide" : ""}`}
      role="dialog"
      aria-modal="true"
      aria-labelledby={`${name}-title`}
      data-testid={`${name}-modal`}
      onCancel={(event) => {
        event.preventDefault();
        onCancel();
      }}
      onKeyDown={(event) => onKey(event, dialog.current, onCancel)}
    >
      <h2 id={`${name}-title`}>{title}</h2>
      {children}
    </dialog>
  );
}

/** Escape cancels and Tab stays inside, also where the browser leaves either to the page. */
function onKey(event: KeyboardEvent, dialog: HTMLDialogElement | null, onCancel: () => void): void {
  if (event.key === "Escape") {
    event.preventDefault();
    onCancel();
  }
  if (event.key !== "Tab" || dialog === null) return;
  const stops = [...dialog.querySelectorAll<HTMLElement>(STOPS)];
  const edge = event.shiftKey ? stops[0] : stops.at(-1);
  if (document.activeElement !== edge) return;
  event.preventDefault();
  (event.shiftKey ? stops.at(-1) : stops[0])?.focus();
}
