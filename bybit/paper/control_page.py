"""The page `/_paper/docs`: the operations to read and to try, without any outside host."""

from html import escape

from .operations import OPERATIONS, Field, Operation

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
details{border:1px solid #8884;border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}code{font-family:ui-monospace,monospace}
table{border-collapse:collapse;margin:.5rem 0}td{padding:.1rem .8rem .1rem 0;vertical-align:top}
textarea{width:100%;min-height:4rem;font-family:ui-monospace,monospace}
pre{background:#8881;padding:.5rem;overflow:auto;max-height:20rem}
"""
SCRIPT = """
for (const form of document.forms) form.addEventListener('submit', async event => {
  event.preventDefault();
  const body = form.elements.body.value.trim();
  const asked = {method: form.dataset.verb};
  let url = form.dataset.path;
  if (body && form.dataset.verb === 'GET') url += '?' + new URLSearchParams(JSON.parse(body));
  else if (body) asked.body = body;
  const reply = await fetch(url, asked);
  form.querySelector('pre').textContent =
    reply.status + '\\n' + JSON.stringify(await reply.json(), null, 1);
});
"""


def page() -> str:
    """HTML with a form for each operation."""
    parts = "".join(map(_operation, OPERATIONS))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Paper exchange</title>'
        f"<style>{STYLE}</style><h1>Control of the paper exchange</h1>"
        "<p>JSON in and out, from this machine only; also as "
        '<a href="openapi.json">openapi.json</a>.</p>'
        f"{parts}<script>{SCRIPT}</script></html>"
    )


def _operation(op: Operation) -> str:
    path = f"/_paper/{op.name}"
    rows = "".join(map(_field, op.fields))
    return (
        f"<details><summary><code>{op.verb} {path}</code> {escape(op.summary)}</summary>"
        f"<table>{rows}</table><p>Answers <code>{escape(op.answer)}</code></p>"
        f'<form data-verb="{op.verb}" data-path="{path}">'
        '<textarea name="body" placeholder="{}" aria-label="JSON"></textarea>'
        "<button>Send</button><pre></pre></form></details>"
    )


def _field(field: Field) -> str:
    kinds = " | ".join(field.choices) or field.kind
    must = " (needed)" if field.required else ""
    return (
        f"<tr><td><code>{field.name}</code>{must}</td><td>{escape(kinds)}</td>"
        f"<td>{escape(field.summary)}</td></tr>"
    )
