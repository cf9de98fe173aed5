const { createServer } = require("node:http");

createServer((_request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ status: "ok", version: process.env.COMMIT }));
}).listen(3002);
