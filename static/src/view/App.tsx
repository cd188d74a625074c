import { useCallback, useEffect, useState } from "preact/hooks";
import { detailOf } from "../api/problem";
import { signOut, whoAmI, type Session } from "../api/session";
import { Dashboard } from "./Dashboard";
import { Logo } from "./icons";
import { SignIn } from "./SignIn";

type Access =
  | { readonly kind: "asking" }
  | { readonly kind: "signed-out"; readonly remark: string | null }
  | { readonly kind: "signed-in"; readonly session: Session }
  | { readonly kind: "unreachable"; readonly detail: string };

const RETRY_MS = 3_000;

/** Who is looking decides what there is to see. */
export function App() {
  const [access, setAccess] = useState<Access>({ kind: "asking" });
  const check = useCallback(async () => setAccess(await accessNow()), []);

  useEffect(() => void check(), [check]);
  useEffect(() => {
    if (access.kind !== "unreachable") return undefined;
    const timer = setTimeout(() => void check(), RETRY_MS);
    return () => clearTimeout(timer);
  }, [access, check]);

  const onSignedOut = useCallback(
    () => setAccess({ kind: "signed-out", remark: "Your session has ended. Sign in to go on." }),
    [],
  );
  const onSignOut = useCallback(async () => {
    await signOut();
    setAccess({ kind: "signed-out", remark: null });
  }, []);

  switch (access.kind) {
    case "asking":
      return <Splash text="Connecting…" />;
    case "unreachable":
      return <Splash text={`${access.detail} Trying again…`} />;
    case "signed-out":
      return <SignIn remark={access.remark} onSignedIn={check} />;
    case "signed-in":
      return <Dashboard session={access.session} onSignOut={onSignOut} onSignedOut={onSignedOut} />;
  }
}

async function accessNow(): Promise<Access> {
  try {
    const session = await whoAmI();
    return session === null ? { kind: "signed-out", remark: null } : { kind: "signed-in", session };
  } catch (error) {
    return { kind: "unreachable", detail: detailOf(error) };
  }
}

function Splash({ text }: { readonly text: string }) {
  return (
    <main class="splash">
      <Logo />
      <p role="status">{text}</p>
    </main>
  );
}
