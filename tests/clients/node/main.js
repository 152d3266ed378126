// node main.js BROKER FILE SCENARIO [ARGUMENTS]: ends with 0 where the scenario held.

const { client } = require('./kit')

const [broker, file, scenario, ...rest] = process.argv.slice(2)
require(`./${file}`)[scenario](client(broker), ...rest).then(
  // What a client leaves open (timers, sockets) shall not keep the program.
  () => process.exit(0),
  (error) => {
    console.error(error)
    process.exit(1)
  },
)
