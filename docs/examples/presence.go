// Who is online, as any node tells it: ACCOUNT=user:password go run presence.go http://node1:8080 … until Ctrl-C.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"
)

// A stream that says nothing for so long is dead.
const silence = 30 * time.Second

// A client as far as it is known.
type client struct {
	ID     string `json:"client_id"`
	Epoch  uint64 `json:"epoch"`
	Online bool   `json:"online"`
}

type reader struct {
	state map[string]client
	// The place in the stream, "" for none.
	token string
}

// Learn keeps the reader's rule: a connect wins with a greater epoch, a disconnect with an equal or greater one.
func (r *reader) learn(news client) {
	known := r.state[news.ID]
	if news.Epoch > known.Epoch || news.Epoch == known.Epoch && known.Online && !news.Online {
		r.state[news.ID] = news
		fmt.Fprintln(os.Stderr, news.ID, news.Online)
	}
}

func (r *reader) ask(ctx context.Context, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	user, password, _ := strings.Cut(os.Getenv("ACCOUNT"), ":")
	request.SetBasicAuth(user, password)
	request.Header.Set("Last-Event-ID", r.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusGone {
		r.token = ""
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("%s answered %s", address, response.Status)
	}
	return response, nil
}

// Page learns one page of the list and gives the place of the next one, if there is one.
func (r *reader) page(ctx context.Context, node, query string) (*string, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	response, err := r.ask(ctx, node+"/clients?limit=1000"+query)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var page struct {
		Clients []client `json:"clients"`
		Cursor  *string  `json:"cursor"`
	}
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		return nil, err
	}
	for _, one := range page.Clients {
		r.learn(one)
	}
	return page.Cursor, nil
}

func (r *reader) learnAll(ctx context.Context, node string) error {
	r.state = map[string]client{}
	cursor, err := r.page(ctx, node, "")
	for err == nil && cursor != nil {
		cursor, err = r.page(ctx, node, "&cursor="+url.QueryEscape(*cursor))
	}
	return err
}

func (r *reader) hear(ctx context.Context, node, kind, data string) error {
	switch kind {
	case "position":
		if r.token == "" {
			// All that the list tells lies behind this place.
			return r.learnAll(ctx, node)
		}
	case "client_connected", "client_disconnected":
		var told struct {
			ID    string `json:"clientid"`
			Epoch uint64 `json:"epoch"`
		}
		if err := json.Unmarshal([]byte(data), &told); err != nil {
			return err
		}
		r.learn(client{told.ID, told.Epoch, kind == "client_connected"})
	}
	return nil
}

// Follow reads one stream to its end.
func (r *reader) follow(ctx context.Context, node string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(silence, cancel)
	response, err := r.ask(ctx, node+"/presence/events")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	event := map[string]string{}
	lines := bufio.NewReader(response.Body)
	for {
		watchdog.Reset(silence)
		line, err := lines.ReadString('\n')
		watchdog.Stop()
		if err != nil {
			return err
		}
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		event[name] = value
		if name != "" {
			continue
		}
		// An empty line ends an event.
		if err := r.hear(ctx, node, event["event"], event["data"]); err != nil {
			return err
		}
		if id, told := event["id"]; told {
			// That of a gap is empty: begin anew.
			r.token = id
		}
		event = map[string]string{}
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := reader{state: map[string]client{}}
	for turn := 1; ctx.Err() == nil && len(os.Args) > 1; turn++ {
		node := os.Args[1+turn%(len(os.Args)-1)]
		fmt.Fprintln(os.Stderr, node, r.follow(ctx, node))
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(r.state); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
