import { expect, test } from "bun:test";
import { oldCrunFeatures } from "./crun-features.ts";

/** As Debian 12's prints it. */
const debian = (version: string): string => `crun version ${version}
commit: f8a096be060b22ccd3d5f3ebe44108517fbf6c30
rundir: /run/crun
spec: 1.0.0
+SYSTEMD +SELINUX +CAP +SECCOMP +EBPF +YAJL
`;

test("a crun that doesn't tell its features has those of its version", () => {
  const features = oldCrunFeatures(debian("1.8.1"));
  expect(features?.linux.namespaces).toContain("user");
  expect(features?.mountOptions).toContain("rro");
  expect(features?.linux).toMatchObject({
    seccomp: { enabled: true },
    apparmor: { enabled: false },
    selinux: { enabled: true },
  });
  expect(features?.ociVersionMax).toBe("1.0.0");
});

test("of older ones, and of others, nothing is known", () => {
  for (const version of ["1.3", "0.21", "x"]) expect(oldCrunFeatures(debian(version))).toBeUndefined();
  expect(oldCrunFeatures("runc version 1.0.0\nspec: 1.0.2\n")).toBeUndefined();
  expect(oldCrunFeatures("")).toBeUndefined();
});
