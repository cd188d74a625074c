import { useEffect, useRef, useState } from "preact/hooks";
import { detailOf } from "../api/problem";
import { signIn } from "../api/session";
import { Logo, WarningIcon } from "./icons";

interface Props {
  readonly remark: string | null;
  readonly onSignedIn: () => Promise<void>;
  readonly submit?: (username: string, password: string) => Promise<void>;
}

export function SignIn({ remark, onSignedIn, submit = signIn }: Props) {
  const [fault, setFault] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const first = useRef<HTMLInputElement>(null);
  // `autofocus` counts only when a page loads; after a sign-out the page is already there.
  useEffect(() => first.current?.focus(), []);

  const onSubmit = async (event: SubmitEvent) => {
    event.preventDefault();
    const entered = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setFault(null);
    try {
      await submit(entry(entered, "username"), entry(entered, "password"));
      await onSignedIn();
    } catch (error) {
      setFault(detailOf(error));
      setBusy(false);
    }
  };

  return (
    <main class="sign-in">
      <form data-testid="sign-in-form" class="card" onSubmit={(event) => void onSubmit(event)}>
        <Logo />
        <h1>Sign in</h1>
        {remark !== null && <p class="remark">{remark}</p>}
        <label>
          User name
          <input ref={first} name="username" autocomplete="username" autocapitalize="none" required />
        </label>
        <label>
          Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <p class="fault" role="alert" data-testid="sign-in-fault" hidden={fault === null}>
          <WarningIcon /> {fault}
        </p>
        <button class="button primary" type="submit" disabled={isBusy}>
          {isBusy ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </main>
  );
}

function entry(entered: FormData, name: string): string {
  const value = entered.get(name);
  return typeof value === "string" ? value : "";
}
