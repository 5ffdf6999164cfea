// A broadcast server as anybody has one: clients enter rooms, and what is posted
// is said to all who are in its room.
const { WebSocketServer } = require("ws");
const http = require("http");
const rooms = new Map();
const server = http.createServer((request, response) => {
	let body = "";
	request.on("data", (part) => (body += part));
	request.on("end", () => {
		const { room, text } = JSON.parse(body);
		const frame = JSON.stringify({ event: "said", room, text });
		for (const socket of rooms.get(room) ?? []) socket.send(frame);
		response.writeHead(204).end();
	});
});
new WebSocketServer({ server, path: "/chat" }).on("connection", (socket) => {
	socket.on("message", (data) => {
		const { enter } = JSON.parse(data);
		if (!rooms.has(enter)) rooms.set(enter, new Set());
		rooms.get(enter).add(socket);
		socket.on("close", () => rooms.get(enter).delete(socket));
	});
});
server.listen(+process.argv[2], "127.0.0.1");
