// Compiles the contracts beside it: node compile.mjs OUTPUT. The same sources give the same bytes everywhere,
// because the compiler is pinned and neither paths nor metadata go into the code.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const solc = createRequire(import.meta.url)("solc");

const sources = {};
for (const file of readdirSync(here).sort()) {
  if (file.endsWith(".sol")) sources[file] = { content: readFileSync(join(here, file), "utf8") };
}
const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const { formattedMessage } of output.errors ?? []) process.stderr.write(formattedMessage);
if ((output.errors ?? []).some(({ severity }) => severity === "error")) process.exit(1);

const contracts = {};
for (const file of Object.keys(output.contracts).sort()) {
  for (const name of Object.keys(output.contracts[file]).sort()) {
    const { abi, evm } = output.contracts[file][name];
    if (evm.bytecode.object !== "") contracts[name] = { abi, bytecode: "0x" + evm.bytecode.object };
  }
}
writeFileSync(process.argv[2], JSON.stringify({ compiler: solc.version(), contracts }, null, 1) + "\n");
