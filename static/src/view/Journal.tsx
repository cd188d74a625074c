import type { Ledger } from "../api/ledger";
import { formatSigned } from "../model/money";
import type { DeviationRow, Past } from "../model/evidence";
import type { Position } from "../model/position";
import { entryWords, offWords, resolutionWords } from "../model/words";
import { useFetched } from "./live";

interface Props {
  readonly position: Position;
  readonly ledger: Pick<Ledger, "past">;
}

const MOST_SHOWN = 30;

/** What became of the position so far, newest first. */
export function Journal({ position, ledger }: Props) {
  const { value, fault } = useFetched(() => ledger.past(position.id), momentOf(position));
  return (
    <details class="journal" data-testid="journal">
      <summary>Journal</summary>
      {fault !== null && <p class="fault" role="alert">It could not be read: {fault}</p>}
      {value !== null && <Entries past={value} position={position} />}
    </details>
  );
}

function Entries({ past, position }: { readonly past: Past; readonly position: Position }) {
  const nameOf = (legId: string) => position.legs.find((leg) => leg.id === legId)?.symbol ?? null;
  const ended = past.deviations.filter((row) => row.endedAt !== null);
  return (
    <>
      {ended.length > 0 && (
        <ul aria-label="Earlier deviations" data-testid="ended-deviations">
          {ended.slice(0, MOST_SHOWN).map((row) => (
            <li key={row.id}><Ended row={row} /></li>
          ))}
        </ul>
      )}
      {past.events.length === 0 && <p class="muted">Nothing has happened yet.</p>}
      <ol aria-label="Events" data-testid="events">
        {past.events.slice(0, MOST_SHOWN).map((entry) => (
          <li key={entry.id}>
            <Moment at={entry.at} /> {entryWords(entry, nameOf)}
            {entry.actor !== null && <span class="muted"> · {entry.actor}</span>}
          </li>
        ))}
      </ol>
      {past.events.length > MOST_SHOWN && <p class="muted">Older entries are left out here.</p>}
    </>
  );
}

function Ended({ row }: { readonly row: DeviationRow }) {
  return (
    <>
      <Moment at={row.firstSeen} /> {row.symbol}: {offWords(formatSigned(row.expected), formatSigned(row.actual))}.{" "}
      {row.cause} <span class="muted">· {resolutionWords(row.resolution)} <Moment at={row.endedAt ?? row.lastVerified} /></span>
    </>
  );
}

function Moment({ at }: { readonly at: string }) {
  return <time dateTime={at} title={at}>{new Date(at).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" })}</time>;
}

/** Changes with everything that writes an entry. */
function momentOf({ id, status, verdict, isAltered, name, deviations, lastClose, legs }: Position): string {
  const open = deviations.map((row) => [row.id, row.actual, row.cause]);
  return JSON.stringify([id, status, verdict, isAltered, name, open, lastClose?.state, legs.map((leg) => leg.quantity)]);
}
