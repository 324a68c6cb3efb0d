import { describe, expect, test } from "bun:test";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { connect, createServer } from "node:net";
import { overDuplex } from "@hull/link/node";
import { Connection } from "./connection.ts";
import { fieldOf } from "./fields.ts";
import { echo, nobody, post, Recorder } from "./test-peers.ts";

describe("beside node:http2", () => {
  test("a client of its speaks with a server of ours", async () => {
    const listener = createServer((socket) => new Connection("server", overDuplex(socket), echo()).start());
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const address = listener.address();
    const session = connectHttp2(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`);
    const sizes = [0, 1, 1000, 70_000, 900_000];
    const bodies = await Promise.all(
      sizes.map(async (size) => {
        const stream = session.request({ ":method": "POST", ":path": "/", "x-test": "v" });
        stream.end(Buffer.alloc(size, "y"));
        const chunks: Buffer[] = [];
        let status = "";
        stream.on("trailers", (trailers) => {
          status = String(trailers["grpc-status"]);
        });
        stream.on("data", (chunk) => chunks.push(chunk));
        await new Promise((resolve) => stream.once("close", resolve));
        return [Buffer.concat(chunks).length, status];
      }),
    );
    expect(bodies).toEqual(sizes.map((size) => [size, "0"]));
    session.close();
    listener.close();
  });

  test("a client of ours speaks with a server of its", async () => {
    const server = createHttp2Server();
    server.on("stream", (stream, headers) => {
      stream.respond({ ":status": 200, echo: headers["x-test"] }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.pipe(stream);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const socket = connect(typeof address === "object" ? (address?.port ?? 0) : 0, "127.0.0.1");
    const client = new Connection("client", overDuplex(socket), nobody);
    client.start();
    const sizes = [0, 1, 1000, 60_000];
    const answers = await Promise.all(
      sizes.map(async (size) => {
        const recorder = new Recorder();
        const over = Promise.withResolvers<void>();
        recorder.onEnded = over.resolve;
        client.request(post("/", "x-test", `${size}`), recorder).write([Buffer.alloc(size, "y")], true);
        await over.promise;
        return [fieldOf(recorder.fields, "echo"), recorder.body.length, recorder.final];
      }),
    );
    expect(answers).toEqual(sizes.map((size) => [`${size}`, size, ["grpc-status", "0"]]));
    client.destroy();
    server.close();
  });
});
