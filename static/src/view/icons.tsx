import type { ComponentChildren } from "preact";

/** Beside every status word stands a shape, so that colour is never the only sign. */
function Icon({ children }: { readonly children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

const LINE = { fill: "none", stroke: "currentColor", "stroke-width": 1.75, "stroke-linecap": "round", "stroke-linejoin": "round" } as const;

export function WarningIcon() {
  return (
    <Icon>
      <path {...LINE} d="M8 2.2 14.4 13.4H1.6Z" />
      <path {...LINE} d="M8 6.6v3.1M8 11.6v.01" />
    </Icon>
  );
}

export function CheckIcon() {
  return (
    <Icon>
      <path {...LINE} d="M3 8.6l3.2 3.2L13 4.8" />
    </Icon>
  );
}

export function QuestionIcon() {
  return (
    <Icon>
      <circle {...LINE} cx="8" cy="8" r="6.2" />
      <path {...LINE} d="M6.2 6.4a1.9 1.9 0 1 1 2.6 1.8c-.6.3-.8.6-.8 1.2M8 11.6v.01" />
    </Icon>
  );
}

export function SpinnerIcon() {
  return (
    <Icon>
      <path {...LINE} class="spin" d="M8 1.8a6.2 6.2 0 1 1-6.2 6.2" />
    </Icon>
  );
}

export function ChevronIcon() {
  return (
    <Icon>
      <path {...LINE} d="M6 3.5 10.5 8 6 12.5" />
    </Icon>
  );
}

export function CrossIcon() {
  return (
    <Icon>
      <path {...LINE} d="M3.5 3.5l9 9M12.5 3.5l-9 9" />
    </Icon>
  );
}

export function Logo() {
  return (
    <span class="logo">
      <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true" focusable="false">
        <rect width="32" height="32" rx="8" class="logo-ground" />
        <path d="M6 21l7-7 5 4 8-9" class="logo-line" />
        <path d="M6 25.5h20" class="logo-base" />
      </svg>
      positiond
    </span>
  );
}
