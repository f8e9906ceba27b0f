// Verifies quotes with @phala/dcap-qvl. Standard input is a JSON list of cases {name, quote, collateral, now, root}:
// quote and root (DER, or empty for Intel's) in hexadecimal, now in seconds since 1970. Standard output is the list of
// verdicts {name, status, advisories} or {name, error}, in the same order.
import qvl from '@phala/dcap-qvl'
import { readFileSync } from 'node:fs'

const bytes = (hex) => Buffer.from(hex, 'hex')
const causes = (error) => (error.cause ? `${error.message}: ${causes(error.cause)}` : error.message)

const verdicts = JSON.parse(readFileSync(0, 'utf8')).map(({ name, quote, collateral, now, root }) => {
  try {
    const verifier = root ? qvl.QuoteVerifier.newWithRootCa(bytes(root)) : qvl.QuoteVerifier.newProd()
    const { status, advisory_ids } = verifier.verify(bytes(quote), collateral, now)
    return { name, status, advisories: advisory_ids }
  } catch (error) {
    return { name, error: causes(error) }
  }
})
process.stdout.write(JSON.stringify(verdicts))
