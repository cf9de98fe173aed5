const { lifetime } = require("@shop/session");
const { createServer } = require("node:http");

createServer((_request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ status: "ok", version: process.env.COMMIT, lifetime }));
}).listen(3001);
