package persauthclient_test

func shareStore() (string, bool) { return "", false }
func runShared(string)           {}
