// Holds the built bundle to its promises: small, hashed, and at home under `default-src 'self'`.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const SCRIPT_BYTES = 40 * 1024;
const STYLE_BYTES = 10 * 1024;

const dist = new URL("dist/", import.meta.url);
const assets = readdirSync(new URL("assets/", dist));
const page = readFileSync(new URL("index.html", dist), "utf8");
const faults = [];

const gzipped = (ending) =>
  assets
    .filter((name) => name.endsWith(ending))
    .map((name) => readFileSync(new URL(`assets/${name}`, dist)))
    .reduce((sum, text) => sum + gzipSync(text, { level: 9 }).length, 0);

for (const [ending, most] of [[".js", SCRIPT_BYTES], [".css", STYLE_BYTES]]) {
  const size = gzipped(ending);
  console.log(`${ending}: ${size} of ${most} bytes gzipped`);
  if (size > most) faults.push(`${ending} is over its budget`);
}

if (/<script(?![^>]*\ssrc=)/.test(page)) faults.push("index.html has an inline script");
if (/<style|\sstyle=|\son\w+=/.test(page)) faults.push("index.html has an inline style or handler");
if (/(?:src|href)="(?!\/assets\/)/.test(page)) faults.push("index.html refers to something outside /assets/");
for (const name of assets) {
  if (!/-[\w-]{8}\.\w+$/.test(name)) faults.push(`${name} has no content hash`);
  if (name.endsWith(".map")) faults.push(`${name} is a source map`);
  const text = readFileSync(new URL(`assets/${name}`, dist), "utf8");
  const hosts = text.match(/(?:https?:)?\/\/[a-z0-9-]+(?:\.[a-z0-9-]+)+/gi) ?? [];
  const strange = hosts.filter((host) => !host.endsWith("//www.w3.org"));
  if (strange.length > 0) faults.push(`${name} names an outside host: ${strange.join(", ")}`);
}

for (const fault of faults) console.error(fault);
process.exitCode = faults.length > 0 ? 1 : 0;
