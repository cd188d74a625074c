import { useEffect, useMemo, useState } from "preact/hooks";
import { browserEdges, Desk } from "../api/desk";
import { detailOf } from "../api/problem";
import type { Session } from "../api/session";
import { FeedStrip } from "./FeedStrip";
import { Logo } from "./icons";
import { Notices } from "./Notices";
import { PositionsPanel } from "./PositionsPanel";
import { useBook, useNow } from "./live";

interface Props {
  readonly session: Session;
  readonly onSignOut: () => Promise<void>;
  readonly onSignedOut: () => void;
}

/** The signed-in page: one desk for as long as it is shown. */
export function Dashboard({ session, onSignOut, onSignedOut }: Props) {
  const edges = useMemo(browserEdges, []);
  const desk = useMemo(() => new Desk(session.userId, edges, onSignedOut), [session.userId, edges, onSignedOut]);
  useEffect(() => {
    desk.start();
    return () => desk.stop();
  }, [desk]);
  const book = useBook(desk);
  const now = useNow(session.clockOffset);

  return (
    <div class="page">
      <header class="top">
        <Logo />
        <FeedStrip feed={book.feed} isConnected={book.connected && !book.gap} now={now} />
        <SignOut username={session.username} onSignOut={onSignOut} onFault={(text) => desk.dispatch({ kind: "notice", tone: "bad", text })} />
      </header>
      {book.feed?.tradingPaused === true && (
        <p class="banner" role="status" data-testid="trading-paused">
          An operator has paused trading: closes are kept, and no order is sent until it is resumed.
        </p>
      )}
      <main>
        <PositionsPanel desk={desk} book={book} now={now} storage={edges.storage} />
      </main>
      <Notices
        notices={book.notices}
        onDismiss={(id) => desk.dispatch({ kind: "notice-dismissed", id })}
      />
    </div>
  );
}

interface SignOutProps {
  readonly username: string;
  readonly onSignOut: () => Promise<void>;
  readonly onFault: (text: string) => void;
}

function SignOut({ username, onSignOut, onFault }: SignOutProps) {
  const [isBusy, setBusy] = useState(false);
  const onClick = async () => {
    setBusy(true);
    try {
      await onSignOut();
    } catch (error) {
      setBusy(false);
      onFault(`Signing out failed: ${detailOf(error)}`);
    }
  };
  return (
    <div class="who">
      <span class="who-name" title={`Signed in as ${username}`}>{username}</span>
      <button class="button quiet" type="button" disabled={isBusy} onClick={() => void onClick()}>
        Sign out
      </button>
    </div>
  );
}
