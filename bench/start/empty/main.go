// Command empty answers requests without a look at their token: what it takes to
// start any service.
package main

import "github.com/persauth/persauth/bench/start/serve"

func main() { serve.Forever(func(string) error { return nil }) }
