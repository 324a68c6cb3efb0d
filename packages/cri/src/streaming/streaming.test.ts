import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ExecRequest } from "@hull/api/gen/cri/v1/cri";
import type { CommandStreams, DuplexStream, Input, StreamingHost, StreamingOptions } from "./index.ts";
import { StreamingServer } from "./index.ts";
import { sendAll } from "./streams.ts";
import { SpdyClient, upgrade } from "./testing.ts";

type Exec = (streams: CommandStreams, lost: AbortSignal, request: ExecRequest) => Promise<number>;

/** A host that does what the test says. */
class FakeHost implements StreamingHost {
  run: Exec = async () => 0;
  connect: (port: number, stream: DuplexStream, lost: AbortSignal) => Promise<void> = async () => {};

  async exec(request: ExecRequest, streams: CommandStreams, lost: AbortSignal): Promise<number> {
    return await this.run(streams, lost, request);
  }

  async attach(_: unknown, streams: CommandStreams, lost: AbortSignal): Promise<void> {
    await this.run(streams, lost, {} as ExecRequest);
  }

  async portForward(_: string, port: number, stream: DuplexStream, lost: AbortSignal): Promise<void> {
    await this.connect(port, stream, lost);
  }
}

const host = new FakeHost();
let server: StreamingServer;
const start = (options: Partial<StreamingOptions> = {}): Promise<StreamingServer> =>
  StreamingServer.start({ host, address: "127.0.0.1", port: 0, ...options });

beforeEach(async () => {
  host.run = async () => 0;
  host.connect = async () => {};
  server = await start();
});
afterEach(() => server.close());

const request = (options: Partial<ExecRequest> = {}): ExecRequest => ({
  ...{ containerId: "c", cmd: ["sh", "-c", "exit 3"], tty: false },
  ...{ stdin: true, stdout: true, stderr: true, ...options },
});

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

/** All of an input. */
async function readAll(input: Input | undefined): Promise<string> {
  let all = "";
  for await (const chunk of input ?? []) all += text(chunk);
  return all;
}

const say = (streams: CommandStreams, name: "stdout" | "stderr", what: string): Promise<void> | undefined => {
  const output = streams[name];
  return output && sendAll(output, Buffer.from(what));
};

describe("requests", () => {
  test.each([
    [request({ containerId: "" }), "missing required container_id"],
    [request({ tty: true }), "tty and stderr cannot both be true"],
    [request({ stdin: false, stdout: false, stderr: false }), "one of stdin, stdout, or stderr must be set"],
  ])("that make no sense are refused %#", (bad, message) => {
    expect(() => server.execUrl(bad)).toThrow(message);
  });

  test("have a URL that works once", async () => {
    const { url } = server.execUrl(request());
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[0-9]+\/exec\/[A-Za-z0-9_-]{8}$/);
    (await SpdyClient.connect(url, ["v4.channel.k8s.io"])).close();
    await expect(SpdyClient.connect(url, ["v4.channel.k8s.io"])).rejects.toThrow("404 page not found");
  });

  test("wait in no larger number than containerd has them wait", () => {
    for (let count = 0; count < 1000; count++) server.attachUrl(request());
    expect(() => server.attachUrl(request())).toThrow("maximum number of in-flight requests exceeded");
  });

  test("of another kind than the token's are not found", async () => {
    const { url } = server.execUrl(request());
    const { head } = await upgrade(url.replace("/exec/", "/attach/"), "GET", []);
    expect(head).toStartWith("HTTP/1.1 404 Not Found");
  });

  test("without a protocol, or with none that is known, say what would do", async () => {
    const without = await upgrade(server.execUrl(request()).url, "POST", []);
    expect(without.head).toStartWith("HTTP/1.1 400 Bad Request");
    expect(without.rest.toString()).toBe(
      "unable to upgrade: header X-Stream-Protocol-Version does not exist in request with 1 headers\n",
    );
    const unknown = await upgrade(server.execUrl(request()).url, "POST", ["X-Stream-Protocol-Version: v9"]);
    expect(unknown.head).toStartWith("HTTP/1.1 403 Forbidden");
    expect(unknown.head).toContain("X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io");
    const other = await upgrade(`${new URL(server.execUrl(request()).url).origin}/other`, "GET", []);
    expect(other.rest.toString()).toBe("404: Page Not Found\n");
  });
});

describe("commands over SPDY", () => {
  async function open(options: Partial<ExecRequest> = {}, protocols = ["v4.channel.k8s.io"]) {
    const asked = request(options);
    const client = await SpdyClient.connect(server.execUrl(asked).url, protocols);
    const error = await client.open({ streamtype: "error" });
    const stdin = asked.stdin ? await client.open({ streamtype: "stdin" }) : undefined;
    const stdout = asked.stdout ? await client.open({ streamtype: "stdout" }) : undefined;
    const stderr = asked.stderr ? await client.open({ streamtype: "stderr" }) : undefined;
    return { client, error, stdin, stdout, stderr };
  }

  test("give output, take input to its end, and tell the exit code", async () => {
    host.run = async (streams) => {
      await say(streams, "stderr", "warn");
      await say(streams, "stdout", (await readAll(streams.stdin)).toUpperCase());
      return 3;
    };
    const { client, error, stdin, stdout, stderr } = await open();
    await stdin?.write("some ");
    await stdin?.write("input");
    await stdin?.end();
    expect(await stdout?.all()).toBe("SOME INPUT");
    expect(await stderr?.all()).toBe("warn");
    expect(JSON.parse(await error.all())).toEqual({
      status: "Failure",
      message: "command terminated with non-zero exit code: error executing command [sh -c exit 3], exit code 3",
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: "3" }] },
    });
    await client.goAway.promise;
    await client.closed.promise;
  });

  test("tell of success, and of what never ran", async () => {
    const good = await open();
    expect(await good.error.all()).toBe('{"status":"Success"}');
    host.run = async () => {
      throw new Error("no such thing");
    };
    const bad = await open();
    expect(await bad.error.all()).toBe(
      '{"status":"Failure","message":"Internal error occurred: error executing command in container: no such thing","reason":"InternalError","code":500}',
    );
  });

  test("tell it in older protocols by a text, or not at all", async () => {
    host.run = async () => 7;
    const older = await open({}, ["v3.channel.k8s.io"]);
    expect(await older.error.all()).toBe(
      "command terminated with non-zero exit code: error executing command [sh -c exit 3], exit code 7",
    );
    const oldest = await open({}, ["channel.k8s.io"]);
    expect(await oldest.error.ended.promise).toBe("reset");
  });

  test("have a terminal whose size follows the client's", async () => {
    const sizes: unknown[] = [];
    host.run = async ({ resize }) => {
      for await (const size of resize ?? []) sizes.push(size);
      return 0;
    };
    const { client, error } = await open({ tty: true, stderr: false });
    const resize = await client.open({ streamtype: "resize" });
    await resize.write('{"Width":80,"Height":24}\n{"Wid');
    await resize.write('th":100,"Height":50}{"Width":0,"Height":0}');
    await resize.end();
    expect(JSON.parse(await error.all())).toEqual({ status: "Success" });
    expect(sizes).toEqual([
      { width: 80, height: 24 },
      { width: 100, height: 50 },
    ]);
  });

  test("know when their client has gone", async () => {
    const gone = Promise.withResolvers<string>();
    host.run = async (streams, lost) => {
      lost.addEventListener("abort", async () => gone.resolve(await readAll(streams.stdin)));
      await gone.promise;
      await say(streams, "stdout", "x");
      return 0;
    };
    const { client, stdin } = await open();
    await stdin?.write("last");
    client.close();
    expect(await gone.promise).toBe("last");
  });

  test("hold a client back that sends more than is read, and lose nothing", async () => {
    const [total, piece] = [24 * 1024 * 1024, Buffer.alloc(64 * 1024, "x")];
    const go = Promise.withResolvers<void>();
    let count = 0;
    host.run = async ({ stdin }) => {
      await go.promise;
      for await (const chunk of stdin ?? []) count += chunk.length;
      return 0;
    };
    const { client, error, stdin } = await open();
    let sent = 0;
    const sending = (async () => {
      for (; sent < total; sent += piece.length) await stdin?.write(piece);
      await stdin?.end();
    })();
    await Bun.sleep(300);
    // What the kernel and the client's own socket have taken, and 256 KiB of ours.
    expect(sent).toBeLessThan(total - 1024 * 1024);
    go.resolve();
    await sending;
    await error.all();
    expect(count).toBe(total);
    client.close();
  });

  test("wait for a client that reads slowly", async () => {
    let sent = 0;
    const total = 24 * 1024 * 1024;
    host.run = async ({ stdout }) => {
      const chunk = Buffer.alloc(64 * 1024, "y");
      for (; sent < total; sent += chunk.length) if (stdout) await sendAll(stdout, chunk);
      return 0;
    };
    const { client, stdout, error } = await open();
    client.link.pause();
    await Bun.sleep(300);
    expect(sent).toBeLessThan(total - 1024 * 1024);
    client.link.resume();
    await error.all();
    expect(stdout?.received).toBe(total);
  });

  test("are not waited for when the client doesn't open their streams", async () => {
    server.close();
    server = await start({ timeouts: { creation: 500 } });
    const client = await SpdyClient.connect(server.execUrl(request()).url, ["v4.channel.k8s.io"]);
    await client.open({ streamtype: "error" });
    await client.goAway.promise;
  });

  test("end when nothing has been said for too long", async () => {
    server.close();
    server = await start({ timeouts: { idle: 100 } });
    const ended = Promise.withResolvers<void>();
    host.run = async (_, lost) => {
      lost.addEventListener("abort", () => ended.resolve());
      await ended.promise;
      return 0;
    };
    const { client } = await open();
    await ended.promise;
    await client.closed.promise;
  });

  test("answer pings, pass over what isn't known, and end a connection that makes no sense", async () => {
    const hold = Promise.withResolvers<void>();
    host.run = async () => {
      await hold.promise;
      return 0;
    };
    const { client } = await open();
    await client.control(6, Uint8Array.of(0, 0, 0, 5));
    await client.control(9, new Uint8Array(8));
    await client.control(77, new Uint8Array(20));
    await expect(client.open({ streamtype: "nonsense" })).rejects.toThrow("refused");
    while (client.pings.length === 0) await Bun.sleep(5);
    expect(client.pings).toEqual([5]);
    client.link.write(Buffer.from("8002000100000000", "hex"));
    await client.closed.promise;
    hold.resolve();
  });
});

describe("commands over WebSocket", () => {
  /** Collects a connection's messages by channel, by Bun's own client. */
  function open(url: string, protocols: string[]) {
    const socket = new WebSocket(url.replace("http", "ws"), protocols);
    socket.binaryType = "arraybuffer";
    const channels = new Map<number, string>();
    const order: number[] = [];
    socket.onmessage = ({ data }) => {
      const base64 = typeof data === "string";
      const bytes = base64 ? Buffer.from(data) : Buffer.from(data as ArrayBuffer);
      const channel = base64 ? Number(data[0]) : (bytes[0] ?? -1);
      const value = base64 ? Buffer.from(data.slice(1), "base64").toString() : bytes.toString("latin1", 1);
      channels.set(channel, (channels.get(channel) ?? "") + value);
      order.push(channel);
    };
    const closed = new Promise<number>((resolve) => {
      socket.onclose = ({ code }) => resolve(code);
    });
    const opened = new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = () => reject(new Error("the WebSocket was refused"));
    });
    const send = (channel: number, what: string): void =>
      socket.send(Buffer.concat([Uint8Array.of(channel), Buffer.from(what)]));
    return { socket, channels, order, closed, opened, send };
  }

  test.each([["v4.channel.k8s.io"], ["v5.channel.k8s.io"]])("in %s", async (protocol) => {
    host.run = async (streams) => {
      let first = "";
      for await (const chunk of streams.stdin ?? []) {
        first = text(chunk);
        if (protocol.startsWith("v4")) break;
      }
      await say(streams, "stdout", `got ${first}`);
      return 4;
    };
    const client = open(server.execUrl(request()).url, [protocol]);
    await client.opened;
    expect(client.socket.protocol).toBe(protocol);
    client.send(0, "hello");
    if (protocol.startsWith("v5")) client.socket.send(Uint8Array.of(255, 0));
    expect(await client.closed).toBe(1000);
    expect(client.order[0]).toBe(1);
    expect(client.channels.get(1)).toBe("got hello");
    expect(JSON.parse(client.channels.get(3) ?? "")).toMatchObject({ reason: "NonZeroExitCode" });
  });

  test("in base64, with a terminal", async () => {
    const sizes: unknown[] = [];
    host.run = async (streams) => {
      void (async () => {
        for await (const size of streams.resize ?? []) sizes.push(size);
      })();
      for await (const chunk of streams.stdin ?? []) {
        await say(streams, "stdout", text(chunk));
        break;
      }
      return 0;
    };
    const client = open(server.execUrl(request({ tty: true, stderr: false })).url, ["v4.base64.channel.k8s.io"]);
    await client.opened;
    client.socket.send(`4${Buffer.from('{"Width":10,"Height":20}').toString("base64")}`);
    client.socket.send(`0${Buffer.from("ünïcode").toString("base64")}`);
    expect(await client.closed).toBe(1000);
    expect(client.channels.get(1)).toBe("ünïcode");
    expect(sizes).toEqual([{ width: 10, height: 20 }]);
    expect(client.channels.get(3)).toBe('{"status":"Success"}');
  });

  test("refuse a subprotocol that isn't known", async () => {
    const client = open(server.execUrl(request()).url, ["v9.channel.k8s.io"]);
    await expect(client.opened).rejects.toThrow();
  });

  test("carry large messages both ways", async () => {
    const sent = "z".repeat(3_000_000);
    host.run = async (streams) => {
      let all = "";
      for await (const chunk of streams.stdin ?? []) {
        all += text(chunk);
        if (all.length === sent.length) break;
      }
      await say(streams, "stdout", all);
      return 0;
    };
    const client = open(server.execUrl(request()).url, ["v4.channel.k8s.io"]);
    await client.opened;
    client.send(0, sent);
    await client.closed;
    expect(client.channels.get(1)).toBe(sent);
  });
});

describe("port forwarding", () => {
  const echo = async (_: number, { input, output }: DuplexStream): Promise<void> => {
    for await (const chunk of input) await sendAll(output, chunk);
  };

  test("makes a connection of each pair of streams", async () => {
    host.connect = async (port, stream) => {
      if (port === 81) throw new Error("connection refused");
      await echo(port, stream);
    };
    const url = server.portForwardUrl({ podSandboxId: "p", port: [] }).url;
    const client = await SpdyClient.connect(url, ["portforward.k8s.io"]);
    const pair = async (port: number, requestid: string) => {
      const error = await client.open({ streamtype: "error", port: String(port), requestid });
      const data = await client.open({ streamtype: "data", port: String(port), requestid });
      await error.end();
      return { error, data };
    };
    const [one, two, bad] = [await pair(80, "1"), await pair(80, "2"), await pair(81, "3")];
    await two.data.write("second");
    await one.data.write("first");
    await one.data.end();
    await two.data.end();
    expect(await one.data.all()).toBe("first");
    expect(await two.data.all()).toBe("second");
    expect(await one.error.all()).toBe("");
    expect(await bad.error.all()).toBe("error forwarding port 81 to pod p, uid : connection refused");
    await expect(client.open({ streamtype: "data", port: "0" })).rejects.toThrow("refused");
    client.close();
  });

  test("goes through a WebSocket as SPDY", async () => {
    host.connect = echo;
    const url = server.portForwardUrl({ podSandboxId: "p", port: [] }).url;
    const client = await SpdyClient.tunnel(url, "SPDY/3.1+portforward.k8s.io");
    expect(client.answer).toContain("Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io");
    const error = await client.open({ streamtype: "error", port: "80", requestid: "0" });
    const data = await client.open({ streamtype: "data", port: "80", requestid: "0" });
    const text = "0123456789".repeat(30_000);
    await data.write(text);
    await data.end();
    expect(await data.all()).toBe(text);
    expect(await error.all()).toBe("");
    client.close();
  });

  test("gives up a stream whose other never comes", async () => {
    server.close();
    server = await start({ timeouts: { creation: 30 } });
    const url = server.portForwardUrl({ podSandboxId: "p", port: [] }).url;
    const client = await SpdyClient.connect(url, ["portforward.k8s.io"]);
    const error = await client.open({ streamtype: "error", port: "80", requestid: "0" });
    expect(await error.all()).toBe("(request=0) timed out waiting for streams");
    client.close();
  });

  test("goes over WebSocket, by channels", async () => {
    host.connect = async (port, { input, output }) => {
      for await (const chunk of input) {
        await sendAll(output, Buffer.from(`${port}:${text(chunk)}`));
        break;
      }
    };
    const url = server.portForwardUrl({ podSandboxId: "p", port: [8080, 9] }).url;
    const socket = new WebSocket(url.replace("http", "ws"), ["v4.channel.k8s.io"]);
    socket.binaryType = "arraybuffer";
    const got: string[] = [];
    socket.onmessage = ({ data }) => got.push(Buffer.from(data as ArrayBuffer).toString("latin1"));
    await new Promise((resolve) => {
      socket.onopen = resolve;
    });
    const closed = new Promise((resolve) => {
      socket.onclose = resolve;
    });
    socket.send(Uint8Array.of(0, 65));
    socket.send(Uint8Array.of(2, 66));
    await closed;
    expect(got.sort()).toEqual(
      ["\0\x90\x1f", "\x008080:A", "\x01\x90\x1f", "\x02\x09\0", "\x029:B", "\x03\x09\0"].sort(),
    );
  });
});
