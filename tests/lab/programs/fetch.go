// Fetches https:// URLs one after another over one connection, with the key log of SSLKEYLOGFILE.
//
//	fetch h2|http/1.1 URL...
package main

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	keys, err := os.OpenFile(os.Getenv("SSLKEYLOGFILE"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, KeyLogWriter: keys},
		ForceAttemptHTTP2: os.Args[1] == "h2",
	}
	client := &http.Client{Transport: transport}
	for _, url := range os.Args[2:] {
		response, err := client.Get(url)
		if err != nil {
			log.Print(err)
			continue
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	client.CloseIdleConnections()
}
