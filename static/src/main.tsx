import { render } from "preact";
import { App } from "./view/App";
import "./view/styles/tokens.css";
import "./view/styles/page.css";
import "./view/styles/panel.css";
import "./view/styles/details.css";
import "./view/styles/narrow.css";
import "./view/styles/dialog.css";

const root = document.getElementById("app");
if (root === null) throw new Error("the page has no #app");
render(<App />, root);
