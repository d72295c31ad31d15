// gRPC's own health service in clear, and a client that asks it inside TLS, with the key log of SSLKEYLOGFILE.
//
//	grpc_health serve ADDRESS
//	grpc_health ask ADDRESS SERVICE...
//
// The service "watched" is served, others are unknown: their answer is NOT_FOUND in trailers.
package main

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2])
	} else {
		ask(os.Args[2], os.Args[3:])
	}
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	service := health.NewServer()
	service.SetServingStatus("watched", grpc_health_v1.HealthCheckResponse_SERVING)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, service)
	log.Fatal(server.Serve(listener))
}

func ask(address string, services []string) {
	keys, err := os.OpenFile(os.Getenv("SSLKEYLOGFILE"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	inside := credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, KeyLogWriter: keys})
	connection, err := grpc.Dial(address, grpc.WithTransportCredentials(inside))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	client := grpc_health_v1.NewHealthClient(connection)
	for _, service := range services {
		once, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		request := &grpc_health_v1.HealthCheckRequest{Service: service}
		_, err := client.Check(once, request)
		log.Print(service, ": ", err)
		// A stream of messages, which the client ends.
		if watch, err := client.Watch(once, request); err == nil {
			watch.Recv()
		}
		cancel()
	}
}
