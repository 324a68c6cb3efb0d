import { describe, expect, test } from "bun:test";
import { Field, SecurityProfile_ProfileType, ValidateContainerAdjustmentRequest } from "@hull/api/gen/nri/v1alpha1/nri";
import { type ValidatorRules, validateByRules } from "./default-validator.ts";

const none: ValidatorRules = {
  rejectHooks: false,
  rejectRuntimeDefaultSeccomp: false,
  rejectUnconfinedSeccomp: false,
  rejectCustomSeccomp: false,
  rejectNamespaces: false,
  rejectSysctls: false,
  requiredPlugins: [],
  tolerateMissingAnnotation: "",
};

const { LOCALHOST, RUNTIME_DEFAULT, UNCONFINED } = SecurityProfile_ProfileType;

/** A container whose every restricted part plugin `10-a` has set. */
function request({
  profileType = UNCONFINED,
  annotations = {},
}: {
  profileType?: SecurityProfile_ProfileType;
  annotations?: Record<string, string>;
} = {}): ValidateContainerAdjustmentRequest {
  return ValidateContainerAdjustmentRequest.fromPartial({
    pod: { id: "p", annotations },
    container: { id: "c", name: "one", linux: { seccompProfile: { profileType } } },
    adjust: { linux: { sysctl: { "net.x": "1" } } },
    owners: {
      owners: {
        c: {
          simple: { [Field.OciHooks]: "10-a,20-b", [Field.SeccompPolicy]: "10-a" },
          compound: {
            [Field.Namespace]: { owners: { ipc: "10-a" } },
            [Field.Sysctl]: { owners: { "net.x": "10-a" } },
          },
        },
      },
    },
    plugins: [{ name: "a", index: "10" }],
  });
}

const reject = 'validator "00-default-validator" rejected container adjustment, reason: ';

async function verdict(rules: Partial<ValidatorRules>, about = request()): Promise<string> {
  try {
    await validateByRules({ ...none, ...rules }, about);
    return "fine";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe("NRI's default validator", () => {
  test("lets everything pass that no rule is against", async () => {
    expect(await verdict({})).toBe("fine");
  });

  test("names rule and offender", async () => {
    expect(await verdict({ rejectHooks: true })).toBe(
      `${reject}validation error: plugins "10-a,20-b" attempted restricted OCI hook injection`,
    );
    expect(await verdict({ rejectNamespaces: true })).toBe(
      `${reject}validation error: attempted restricted namespace adjustment by plugin(s) "10-a" (namespace "ipc")`,
    );
    expect(await verdict({ rejectSysctls: true })).toBe(
      `${reject}validation error: attempted restricted sysctl adjustment by plugin(s) 10-a`,
    );
  });

  test("has a rule for each kind of seccomp policy", async () => {
    const rules = { rejectRuntimeDefaultSeccomp: true };
    expect(await verdict(rules, request({ profileType: UNCONFINED }))).toBe("fine");
    expect(await verdict(rules, request({ profileType: RUNTIME_DEFAULT }))).toContain(
      "restricted runtime default seccomp",
    );
    expect(await verdict({ rejectUnconfinedSeccomp: true }, request({ profileType: UNCONFINED }))).toContain(
      "unconfined",
    );
    expect(await verdict({ rejectCustomSeccomp: true }, request({ profileType: LOCALHOST }))).toContain("custom");
  });

  test("wants plugins that have to be there, unless the pod tolerates that they aren't", async () => {
    expect(await verdict({ requiredPlugins: ["a", "10-a"] })).toBe("fine");
    const rules = { requiredPlugins: ["b"], tolerateMissingAnnotation: "tolerate" };
    expect(await verdict(rules)).toBe(`${reject}validation error: required plugin "b" not present`);
    expect(await verdict(rules, request({ annotations: { "tolerate/container.one": "true" } }))).toBe("fine");
    expect(await verdict(rules, request({ annotations: { "tolerate/container.two": "true" } }))).toContain(
      "not present",
    );
    expect(await verdict(rules, request({ annotations: { tolerate: "maybe" } }))).toContain("neither true nor false");
  });

  test("reads what a pod requires", async () => {
    const key = "required-plugins.noderesource.dev";
    expect(await verdict({}, request({ annotations: { [key]: '["a"]' } }))).toBe("fine");
    expect(await verdict({}, request({ annotations: { [`${key}/pod`]: "- b\n- c" } }))).toContain(
      'plugins "b,c" not present',
    );
    expect(await verdict({}, request({ annotations: { [key]: "{" } }))).toContain(`invalid ${key} annotation`);
    expect(await verdict({}, request({ annotations: { [key]: "3" } }))).toContain("no list of names");
  });
});
