import { afterAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfSigned } from "./certificate.ts";
import { type CommandStreams, StreamingServer } from "./index.ts";
import { keyPairOf } from "./key-pair.ts";
import { sendAll } from "./streams.ts";
import { SpdyClient } from "./testing.ts";

const config = (enable_tls_streaming: boolean, tls_cert_file = "", tls_key_file = "") => ({
  enable_tls_streaming,
  x509_key_pair_streaming: { tls_cert_file, tls_key_file },
});

describe("encrypted streams", () => {
  const folder = mkdtempSync(join(tmpdir(), "hull-key-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  test("have a certificate of this run, which is valid for the host's names", () => {
    const { cert, key } = selfSigned("node-1", ["127.0.0.1", "::1", "fe80::1:2%eth0", "::ffff:10.0.0.1", "other"]);
    const certificate = new X509Certificate(cert);
    expect(certificate.subject).toBe("CN=node-1");
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkHost("node-1")).toBe("node-1");
    expect(certificate.checkIP("127.0.0.1")).toBe("127.0.0.1");
    expect(certificate.subjectAltName).toContain("FE80:0:0:0:0:0:1:2");
    expect(certificate.subjectAltName).toContain("0:0:0:0:0:FFFF:A00:1");
    expect(certificate.ca).toBe(true);
    expect(Date.parse(certificate.validTo) - Date.now()).toBeGreaterThan(364 * 86_400_000);
    expect(key).toStartWith("-----BEGIN PRIVATE KEY-----");
  });

  test("are what the configuration says, if that makes sense", async () => {
    expect(await keyPairOf(config(false))).toBeUndefined();
    expect((await keyPairOf(config(true)))?.cert).toContain("BEGIN CERTIFICATE");
    await expect(keyPairOf(config(true, "a"))).rejects.toThrow("must set X509KeyPairStreaming.TLSKeyFile");
    await expect(keyPairOf(config(true, "", "a"))).rejects.toThrow("must set X509KeyPairStreaming.TLSCertFile");
    await expect(keyPairOf(config(false, "a"))).rejects.toThrow("TLSCertFile is set but EnableTLSStreaming is not set");
    await expect(keyPairOf(config(true, "/nowhere", "/nowhere"))).rejects.toThrow("failed to load x509 key pair");
    const [cert, key] = [join(folder, "cert"), join(folder, "key")];
    writeFileSync(cert, "C");
    writeFileSync(key, "K");
    expect(await keyPairOf(config(true, cert, key))).toEqual({ cert: "C", key: "K" });
  });

  test("carry much both ways", async () => {
    const size = 8 * 1024 * 1024;
    let taken = 0;
    const exec = async (_: unknown, { stdin, stdout }: CommandStreams): Promise<number> => {
      for await (const chunk of stdin ?? []) {
        taken += chunk.length;
        if (stdout) await sendAll(stdout, chunk);
      }
      return 0;
    };
    const server = await StreamingServer.start({
      host: { exec, attach: async () => {}, portForward: async () => {} },
      ...{ address: "127.0.0.1", port: 0, tls: await keyPairOf(config(true)) },
    });
    const request = { containerId: "c", cmd: ["x"], tty: false, stdin: true, stdout: true, stderr: false };
    const { url } = server.execUrl(request);
    expect(url).toStartWith("https://127.0.0.1:");
    const client = await SpdyClient.connect(url, ["v4.channel.k8s.io"]);
    const [error, stdin, stdout] = await Promise.all(
      ["error", "stdin", "stdout"].map((streamtype) => client.open({ streamtype })),
    );
    for (let sent = 0; sent < size; sent += 65536) await stdin?.write(Buffer.alloc(65536, "t"));
    await stdin?.end();
    expect(await error?.all()).toBe('{"status":"Success"}');
    expect([taken, stdout?.received]).toEqual([size, size]);
    server.close();
  });
});
