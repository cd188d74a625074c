import { nextOrder, type Column, type SortOrder } from "../model/listing";

export const COLUMNS: readonly (readonly [column: Column, title: string, isNumber: boolean])[] = [
  ["name", "Name", false],
  ["status", "Status", false],
  ["pnl", "Unrealized P&L", true],
  ["net", "Net P&L", true],
  ["age", "Age", true],
];

interface Props {
  readonly order: SortOrder;
  readonly onOrder: (order: SortOrder) => void;
}

/** The table's head; each column sorts, and says to every reader how. */
export function SortHead({ order, onOrder }: Props) {
  return (
    <thead>
      <tr>
        {COLUMNS.map(([column, title, isNumber]) => (
          <th key={column} scope="col" class={`cell-${column} ${isNumber ? "number" : ""}`} aria-sort={ariaSort(order, column)}>
            <button class="sort" type="button" data-sort={column} onClick={() => onOrder(nextOrder(order, column))}>
              {title}
              <span class="arrow" aria-hidden="true">{order.column === column ? (order.descending ? "↓" : "↑") : ""}</span>
            </button>
          </th>
        ))}
        <th scope="col" class="cell-actions"><span class="unseen">Actions</span></th>
      </tr>
    </thead>
  );
}

/** The same on a narrow screen, where the table has no head. */
export function SortSelect({ order, onOrder }: Props) {
  return (
    <div class="sort-select">
      <label>
        <span class="unseen">Sort by</span>
        <select
          value={order.column}
          onChange={(event) => {
            const chosen = COLUMNS.find(([column]) => column === event.currentTarget.value);
            if (chosen !== undefined) onOrder(nextOrder({ column: chosen[0], descending: true }, chosen[0]));
          }}
        >
          {COLUMNS.map(([column, title]) => (
            <option key={column} value={column}>{title}</option>
          ))}
        </select>
      </label>
      <button class="button" type="button" aria-label="Turn the order around" onClick={() => onOrder(nextOrder(order, order.column))}>
        {order.descending ? "↓" : "↑"}
      </button>
    </div>
  );
}

function ariaSort(order: SortOrder, column: Column): "ascending" | "descending" | "none" {
  if (order.column !== column) return "none";
  return order.descending ? "descending" : "ascending";
}
