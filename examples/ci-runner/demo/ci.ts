import { pipeline } from "../pipeline.ts";

const image = "busybox";

export default pipeline({
  steps: {
    lint: {
      image,
      script: "for file in src/*.sh; do sh -n $file && echo ok $file; done",
    },
    build: {
      image,
      script: "mkdir dist && cat src/lib.sh src/main.sh >dist/greet && chmod +x dist/greet && echo built dist/greet",
      artifacts: ["dist"],
    },
    test: {
      image,
      needs: ["build"],
      script: 'test "$(sh dist/greet world)" = "hello, world" && echo greets',
    },
    "test-served": {
      image,
      needs: ["build"],
      services: {
        web: {
          image,
          command: ["sh", "-c", "mkdir /www && echo served >/www/name && httpd -f -v -p 8080 -h /www"],
          ready: ["sh", "-c", "echo | nc 127.0.0.1 8080"],
        },
      },
      script: 'name=$(printf "GET /name HTTP/1.0\\r\\n\\r\\n" | nc 127.0.0.1 8080 | tail -1)\nsh dist/greet "$name"',
    },
    package: {
      image,
      needs: ["build", "lint", "test", "test-served"],
      script: "tar -czf greet.tar.gz -C dist greet",
      artifacts: ["greet.tar.gz"],
    },
  },
});
