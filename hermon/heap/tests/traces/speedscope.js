// Checks a file against the schema in speedscope's package, and sums the weights of its profiles.
// usage: node speedscope.js MODULES FILE
"use strict";
const fs = require("fs");
const path = require("path");

const [modules, file] = process.argv.slice(2);
const Ajv = require(path.join(modules, "ajv"));
const schema = require(path.join(modules, "speedscope/dist/release/file-format-schema.json"));
const ajv = new Ajv({ strict: false, allErrors: true });
const document = JSON.parse(fs.readFileSync(file, "utf8"));
const validate = ajv.compile(schema);
if (!validate(document)) {
  console.log(JSON.stringify(validate.errors));
  process.exit(1);
}
for (const profile of document.profiles) {
  const frames = profile.samples.flat();
  if (frames.some(frame => !document.shared.frames[frame]) || profile.samples.length !== profile.weights.length) {
    console.log("a sample without its frames or its weight");
    process.exit(1);
  }
  console.log(`${profile.name} ${profile.weights.reduce((sum, weight) => sum + weight, 0)} ${profile.unit}`);
}
