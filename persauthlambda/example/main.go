// Command example is a Lambda authorizer as one deploys it: its settings are in the
// environment (see persauth.FromEnv), and it lets callers pass who are users or act
// for a business. Build it for the runtime provided.al2023:
//
//	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -tags lambda.norpc -o bootstrap ./example
package main

import (
	"log"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthlambda"
)

func main() {
	cfg, err := persauth.FromEnv()
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := persauth.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	authorizer, err := persauthlambda.Authorizer(verifier, persauthlambda.AuthorizerConfig{
		Rule: persauth.AuthTypeIs(persauth.AuthUser, persauth.AuthBusiness),
	})
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(authorizer)
}
