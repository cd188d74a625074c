import { age, secondsSince } from "../model/age";
import type { Feed } from "../model/book";
import { CheckIcon, QuestionIcon, WarningIcon } from "./icons";

interface Props {
  readonly feed: Feed | null;
  readonly isConnected: boolean;
  readonly now: number;
}

type Health = "good" | "doubtful" | "bad";

/** The sweep runs every five minutes; one missed is a delay, two are a fault. */
const SWEEP_LATE_S = 11 * 60;

/** What the numbers on the page rest on, each with its own sign. */
export function FeedStrip({ feed, isConnected, now }: Props) {
  // What the daemon last said of its feeds is old news while the page hears nothing.
  const known = isConnected ? feed : null;
  return (
    <dl class="strip" data-testid="feed-strip" aria-label="Connections">
      <Item name="Page" word={isConnected ? "live" : "reconnecting…"} health={isConnected ? "good" : "bad"} />
      <Item name="Prices" word={known?.public ?? "unknown"} health={healthOf(known?.public)} />
      <Item name="Account" word={known?.private ?? "unknown"} health={healthOf(known?.private)} />
      <Item name="Reconciled" word={sweepWord(feed, now)} health={sweepHealth(feed, now)} />
    </dl>
  );
}

interface ItemProps {
  readonly name: string;
  readonly word: string;
  readonly health: Health;
}

function Item({ name, word, health }: ItemProps) {
  return (
    <div class={`strip-item ${health}`} data-feed={name.toLowerCase()} data-health={health}>
      <dt>{name}</dt>
      <dd>
        <HealthIcon health={health} /> {word}
      </dd>
    </div>
  );
}

function HealthIcon({ health }: { readonly health: Health }) {
  if (health === "good") return <CheckIcon />;
  return health === "bad" ? <WarningIcon /> : <QuestionIcon />;
}

function healthOf(word: string | undefined): Health {
  if (word === "live") return "good";
  return word === "down" ? "bad" : "doubtful";
}

function sweepWord(feed: Feed | null, now: number): string {
  return feed?.lastSweepAt == null ? "not yet" : `${age(feed.lastSweepAt, now)} ago`;
}

function sweepHealth(feed: Feed | null, now: number): Health {
  if (feed?.lastSweepAt == null) return "doubtful";
  return secondsSince(feed.lastSweepAt, now) > SWEEP_LATE_S ? "bad" : "good";
}
