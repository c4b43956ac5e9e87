// A Go client of the gateway, as its users write them: connect-go with generated code.
//
// usage: goclient PUBLIC_URL GRPC_URL
// Prints the name of each check that passed; the first that fails ends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"connectrpc.com/connect"

	athenav1 "goclient/gen/athena/v1"
	"goclient/gen/athena/v1/athenav1connect"
)

func main() {
	log.SetFlags(0)
	public, grpc := os.Args[1], os.Args[2]
	for _, kind := range []struct {
		name, url string
		options   []connect.ClientOption
	}{
		{"connect", public, []connect.ClientOption{connect.WithSendGzip()}},
		{"connect json", public, []connect.ClientOption{connect.WithProtoJSON()}},
		{"grpc-web", public, []connect.ClientOption{connect.WithGRPCWeb()}},
		{"grpc", grpc, []connect.ClientOption{connect.WithGRPC(), connect.WithSendGzip()}},
	} {
		client := athenav1connect.NewInferenceServiceClient(plainHTTP2(), kind.url, kind.options...)
		for _, check := range []struct {
			name string
			run  func(athenav1connect.InferenceServiceClient) error
		}{{"once", once}, {"stream", stream}, {"session", session}, {"errors", mistakes}, {"deadline", deadline}} {
			if err := check.run(client); err != nil {
				log.Fatalf("%s: %s: %v", kind.name, check.name, err)
			}
			fmt.Printf("%s: %s\n", kind.name, check.name)
		}
	}
}

func plainHTTP2() *http.Client {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: &protocols}}
}

func part(text string) *athenav1.Part {
	return &athenav1.Part{Name: "data", Type: athenav1.PartType_PART_TYPE_TEXT, Data: []byte(text)}
}

func request(text string) *athenav1.InferRequest {
	return &athenav1.InferRequest{
		Service: "echo",
		Headers: map[string]string{"app_id": "1"},
		Parts:   []*athenav1.Part{part(text)},
	}
}

func expect(got, want string) error {
	if got != want {
		return fmt.Errorf("got %.100q, want %.100q", got, want)
	}
	return nil
}

func textOf(response *athenav1.InferResponse) string {
	var text strings.Builder
	for _, part := range response.GetParts() {
		text.Write(part.GetData())
	}
	return text.String()
}

func once(client athenav1connect.InferenceServiceClient) error {
	large := strings.Repeat("0123456789", 50_000)
	response, err := client.Infer(context.Background(), connect.NewRequest(request(large)))
	if err != nil {
		return err
	}
	if err := expect(response.Header().Get("athena-sid"), response.Msg.GetSid()); err != nil {
		return err
	}
	return expect(textOf(response.Msg), large)
}

func stream(client athenav1connect.InferenceServiceClient) error {
	wanted := &athenav1.InferServerStreamRequest{Request: request("abc")}
	results, err := client.InferServerStream(context.Background(), connect.NewRequest(wanted))
	if err != nil {
		return err
	}
	text := ""
	for results.Receive() {
		text += textOf(results.Msg().GetResponse())
	}
	return errors.Join(results.Err(), results.Close(), expect(text, "abc"))
}

// Each chunk's result comes before the next chunk is sent.
func session(client athenav1connect.InferenceServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	session := client.InferStream(ctx)
	open := &athenav1.InferStreamRequest_Open{Open: &athenav1.InferRequest{
		Service: "echo",
		Headers: map[string]string{"app_id": "1"},
	}}
	if err := session.Send(&athenav1.InferStreamRequest{Message: open}); err != nil {
		return err
	}
	for index, text := range []string{"a", "b", "c"} {
		chunk := part(text)
		chunk.Attributes = map[string]string{"status": []string{"0", "1", "2"}[index]}
		input := &athenav1.InferStreamRequest_Input{Input: &athenav1.StreamInput{Parts: []*athenav1.Part{chunk}}}
		if err := session.Send(&athenav1.InferStreamRequest{Message: input}); err != nil {
			return err
		}
		result, err := session.Receive()
		if err != nil {
			return err
		}
		if err := expect(textOf(result.GetResponse()), text); err != nil {
			return err
		}
	}
	if err := session.CloseRequest(); err != nil {
		return err
	}
	if _, err := session.Receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("got %v, want the end", err)
	}
	return session.CloseResponse()
}

func mistakes(client athenav1connect.InferenceServiceClient) error {
	unknown := request("x")
	unknown.Service = "nobody"
	_, err := client.Infer(context.Background(), connect.NewRequest(unknown))
	var failure *connect.Error
	if !errors.As(err, &failure) || failure.Code() != connect.CodeNotFound || len(failure.Details()) != 1 {
		return fmt.Errorf("got %v", err)
	}
	detail, err := failure.Details()[0].Value()
	if err != nil {
		return err
	}
	return expect(detail.(*athenav1.ErrorDetail).GetReason(), "SERVICE_NOT_FOUND")
}

func deadline(client athenav1connect.InferenceServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	slow := request("x")
	slow.Parameters = map[string]string{"delayMs": "10000"}
	_, err := client.Infer(ctx, connect.NewRequest(slow))
	if connect.CodeOf(err) != connect.CodeDeadlineExceeded {
		return fmt.Errorf("got %v", err)
	}
	return nil
}
