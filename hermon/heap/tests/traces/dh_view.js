// Opens a file in valgrind's dh_view, in Node with only those parts of a document that dh_view uses, and prints what it shows.
// usage: node dh_view.js DH_VIEW FILE
"use strict";
const fs = require("fs");
const vm = require("vm");

class Element {
  constructor(text) { this.childNodes = []; this.text = text || ""; this.className = ""; this.selected = false; }
  get firstChild() { return this.childNodes[0]; }
  get lastChild() { return this.childNodes[this.childNodes.length - 1]; }
  get selectedIndex() { return Math.max(0, this.childNodes.findIndex(option => option.selected)); }
  get textContent() { return this.text + this.childNodes.map(child => child.textContent).join(""); }
  set textContent(text) { this.childNodes = []; this.text = text; }
  appendChild(child) { child.parentNode = this; this.childNodes.push(child); return child; }
  cloneNode() { return new Element(this.text); }
  replaceChild(child, old) { child.parentNode = this; this.childNodes.splice(this.childNodes.indexOf(old), 1, child); }
  removeChild(child) { this.childNodes.splice(this.childNodes.indexOf(child), 1); }
  setAttribute() {}
  addEventListener() {}
}

const [program, file] = process.argv.slice(2);
const document = {
  body: new Element(),
  location: { search: "" },
  createElement: () => new Element(),
  createTextNode: text => new Element(text),
};
const driver = `
  onLoad();
  gFilename = "file";
  gData = JSON.parse(data);
  buildTree();
  displayTree();
  gMainDiv.textContent;
`;
const world = { document, data: fs.readFileSync(file, "utf8"), performance, URLSearchParams, console, Set, Map };
process.stdout.write(vm.runInNewContext(fs.readFileSync(program, "utf8") + driver, world));
