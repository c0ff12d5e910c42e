module github.com/persauth/persauth/cmd/persauth

go 1.26.0

replace github.com/persauth/persauth => ../..
