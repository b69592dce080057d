// Socket.IO on Node, as its documentation has it: rooms as channels, a route to publish.
"use strict";
const http = require("http");
const { Server } = require("socket.io");

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (url.pathname === "/publish") {
    let message = "";
    request.setEncoding("utf8");
    request.on("data", (part) => (message += part));
    request.on("end", () => {
      io.to(url.searchParams.get("channel")).emit("message", message);
      response.end("ok");
    });
  } else {
    response.setHeader("Content-Type", "application/json");
    response.end('{"cursor":0,"messages":[]}');
  }
});
const io = new Server(server);
io.on("connection", (socket) => {
  socket.on("join", (channel, done) => {
    socket.join(channel);
    done("ready");
  });
});
server.keepAliveTimeout = 300000; // ms; pollers are not sent away
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
