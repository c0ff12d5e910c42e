package fleet

// What the server runs. All times are its own (TIME), in milliseconds but for the
// budget, which counts in microseconds.

import (
	_ "embed"

	"github.com/redis/rueidis"
)

var (
	//go:embed scripts/read.lua
	readSource string
	//go:embed scripts/append.lua
	appendSource string
	//go:embed scripts/lease.lua
	leaseSource string
	//go:embed scripts/look.lua
	lookSource string
	//go:embed scripts/share.lua
	shareSource string
	//go:embed scripts/claim.lua
	claimSource string
	//go:embed scripts/pause.lua
	pauseSource string
	//go:embed scripts/inspect.lua
	inspectSource string

	readScript    = rueidis.NewLuaScript(readSource)
	appendScript  = rueidis.NewLuaScript(appendSource)
	leaseScript   = rueidis.NewLuaScript(leaseSource)
	lookScript    = rueidis.NewLuaScript(lookSource)
	shareScript   = rueidis.NewLuaScript(shareSource)
	claimScript   = rueidis.NewLuaScript(claimSource)
	pauseScript   = rueidis.NewLuaScript(pauseSource)
	inspectScript = rueidis.NewLuaScript(inspectSource)
)
