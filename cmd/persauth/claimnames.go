package main

// The flag --claim-names: where in a token the claims of PERS are.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/persauth/persauth"
)

const claimNamesHelp = "the claims of PERS are at the paths of `LIST`, as in tenant=org.id,business=org.shop,role=roles,auth-type=kind,email=mail"

// claimNames is the flag.
type claimNames persauth.ClaimNames

// fields are the names that the flag knows, in order.
func (n *claimNames) fields() ([]string, map[string]*string) {
	return []string{"tenant", "business", "role", "auth-type", "email"}, map[string]*string{
		"tenant": &n.Tenant, "business": &n.Business, "role": &n.Role, "auth-type": &n.AuthType, "email": &n.Email}
}

func (n *claimNames) Type() string { return "list" }

func (n *claimNames) String() string {
	names, fields := n.fields()
	var set []string
	for _, name := range names {
		if *fields[name] != "" {
			set = append(set, name+"="+*fields[name])
		}
	}
	return strings.Join(set, ",")
}

func (n *claimNames) Set(value string) error {
	names, fields := n.fields()
	for pair := range strings.SplitSeq(value, ",") {
		name, path, ok := strings.Cut(pair, "=")
		if !ok || path == "" {
			return errors.New("want name=path, as in tenant=org.id")
		}
		if !slices.Contains(names, name) {
			return fmt.Errorf("there is no %s: want %s", shown(name), strings.Join(names, ", "))
		}
		*fields[name] = path
	}
	return nil
}
