import { WarningIcon } from "./icons";

/** What went wrong, where it went wrong; read out when it appears. */
export function Fault({ text, testId }: { readonly text: string | null; readonly testId?: string }) {
  return (
    <p class="fault" role="alert" data-testid={testId} hidden={text === null}>
      <WarningIcon /> {text}
    </p>
  );
}
