// Command persauth verifies, explains and inspects PERS tokens from a shell.
package main

func main() {}
