/** What can be run: each language is an image, the file that the code goes to, and the command that runs it. */
export interface Language {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly file: string;
  readonly command: readonly string[];
  readonly sample: string;
}

const busybox = "busybox";

export const languages: readonly Language[] = [
  {
    id: "shell",
    name: "Shell",
    image: busybox,
    file: "main.sh",
    command: ["sh", "main.sh"],
    sample: 'for n in 1 2 3; do\n  echo "line $n"\n  sleep 0.3\ndone\n',
  },
  {
    id: "awk",
    name: "AWK",
    image: busybox,
    file: "main.awk",
    command: ["awk", "-f", "main.awk"],
    sample: 'BEGIN {\n  for (n = 1; n <= 10; n++) printf "%2d squared is %3d\\n", n, n * n\n}\n',
  },
  {
    id: "bc",
    name: "bc",
    image: busybox,
    file: "main.bc",
    command: ["sh", "-c", "bc <main.bc"],
    sample: "scale = 30\n4 * (4 * 3 / 3 - 1)\nsqrt(2)\n",
  },
  {
    id: "python",
    name: "Python",
    image: "python:3-alpine",
    file: "main.py",
    command: ["python3", "main.py"],
    sample: "print(sum(n * n for n in range(10)))\n",
  },
  {
    id: "javascript",
    name: "JavaScript",
    image: "node:22-alpine",
    file: "main.js",
    command: ["node", "main.js"],
    sample: "console.log([1, 2, 3].map((n) => n ** 2));\n",
  },
];
