import type { Ledger } from "../api/ledger";
import type { Position } from "../model/position";
import { Fault } from "./Fault";
import { useAttempt } from "./live";
import { Modal } from "./Modal";

interface Props {
  readonly position: Position;
  readonly ledger: Pick<Ledger, "edit">;
  readonly onEnd: () => void;
}

/** Name, note and tags: what a person calls it. */
export function EditModal({ position, ledger, onEnd }: Props) {
  const attempt = useAttempt();
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    const entered = new FormData(event.currentTarget as HTMLFormElement);
    const tags = said(entered, "tags").split(",").map((tag) => tag.trim()).filter(Boolean);
    const labels = { name: said(entered, "name").trim(), note: said(entered, "note"), tags };
    attempt.run(() => ledger.edit(position.id, labels), onEnd);
  };
  return (
    <Modal name="edit" title="Name and notes" onCancel={onEnd}>
      <form onSubmit={onSubmit}>
        <label>Name <input name="name" data-first required maxLength={200} defaultValue={position.name} /></label>
        <label>Note <textarea name="note" rows={4} maxLength={2000} defaultValue={position.note} /></label>
        <label>Tags, separated by commas <input name="tags" defaultValue={position.tags.join(", ")} /></label>
        <Fault text={attempt.fault} testId="edit-fault" />
        <div class="modal-actions">
          <button class="button" type="button" onClick={onEnd}>Cancel</button>
          <button class="button primary" type="submit" data-testid="confirm-edit" disabled={attempt.isBusy}>Save</button>
        </div>
      </form>
    </Modal>
  );
}

function said(entered: FormData, name: string): string {
  const value = entered.get(name);
  return typeof value === "string" ? value : "";
}
