/** A certificate that nobody has vouched for, made up for this run of the daemon. X.509: RFC 5280, section 4.1; DER: ITU-T X.690. */

import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { addressBytes } from "@hull/cni";
import type { KeyPair } from "@hull/link";

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8: 0x0c,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Object identifiers, as bytes of their DER. */
const ids = {
  /** ecdsa-with-SHA256: RFC 5758, section 3.2. */
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  commonName: [0x55, 0x04, 0x03],
  basicConstraints: [0x55, 0x1d, 0x13],
  keyUsage: [0x55, 0x1d, 0x0f],
  extendedKeyUsage: [0x55, 0x1d, 0x25],
  subjectAltName: [0x55, 0x1d, 0x11],
  serverAuthentication: [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01],
} as const;

const yearMs = 365 * 24 * 60 * 60 * 1000;

/** For a server that is reached by these names and addresses. Good for a year, from an hour ago: clocks differ. */
export function selfSigned(commonName: string, names: readonly string[]): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(objectId(ids.ecdsaWithSha256));
  const name = sequence(der(tags.set, sequence(objectId(ids.commonName), der(tags.utf8, Buffer.from(commonName)))));
  const now = Date.now();
  const body = sequence(
    // Version 3.
    der(0xa0, integer(Buffer.of(2))),
    integer(Buffer.concat([Buffer.of(0x01), randomBytes(15)])),
    algorithm,
    name,
    sequence(time(now - 60 * 60 * 1000), time(now + yearMs)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions([commonName, ...names]))),
  );
  const signature = sign("sha256", body, { key: privateKey, dsaEncoding: "der" });
  const certificate = sequence(body, algorithm, bitString(0, signature));
  const lines = certificate.toString("base64").match(/.{1,64}/g) ?? [];
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function extensions(names: readonly string[]): Buffer[] {
  const critical = der(tags.boolean, Buffer.of(0xff));
  const extension = (id: readonly number[], value: Buffer, ...flags: Buffer[]): Buffer =>
    sequence(objectId(id), ...flags, der(tags.octetString, value));
  return [
    // It vouches for itself; so does whoever trusts it.
    extension(ids.basicConstraints, sequence(critical), critical),
    // digitalSignature, keyEncipherment, keyCertSign.
    extension(ids.keyUsage, bitString(2, Buffer.of(0b1010_0100)), critical),
    extension(ids.extendedKeyUsage, sequence(objectId(ids.serverAuthentication))),
    extension(ids.subjectAltName, sequence(...[...new Set(names)].map(alternativeName))),
  ];
}

/** GeneralName: an address has tag 7, a name tag 2. Section 4.2.1.6. */
function alternativeName(name: string): Buffer {
  const address = addressBytes(name);
  return address === undefined ? der(0x82, Buffer.from(name)) : der(0x87, address);
}

function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.of(tag, ...length), content]);
}

const sequence = (...parts: Uint8Array[]): Buffer => der(tags.sequence, ...parts);
const integer = (bytes: Uint8Array): Buffer => der(tags.integer, bytes);
const objectId = (id: readonly number[]): Buffer => der(tags.objectId, Buffer.from(id));
const bitString = (unused: number, bytes: Uint8Array): Buffer => der(tags.bitString, Buffer.of(unused), bytes);

/** `20260102030405Z` */
const time = (at: number): Buffer =>
  der(tags.generalizedTime, Buffer.from(`${new Date(at).toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`));
