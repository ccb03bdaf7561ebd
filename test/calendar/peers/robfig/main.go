// Instants by robfig/cron, for the tests. Reads queries as JSON lines and answers each with {"at": [seconds since 1970]} or {"error": text}.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

type query struct {
	Expression string `json:"expression"`
	Zone       string `json:"zone"`
	From       int64  `json:"from"`
	To         int64  `json:"to"`
}

type answer struct {
	At    []int64 `json:"at"`
	Error string  `json:"error,omitempty"`
}

func instants(asked query) answer {
	location, err := time.LoadLocation(asked.Zone)
	if err != nil {
		return answer{Error: err.Error()}
	}
	fields := cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow
	if len(strings.Fields(asked.Expression)) == 6 {
		fields |= cron.Second
	}
	schedule, err := cron.NewParser(fields).Parse(asked.Expression)
	if err != nil {
		return answer{Error: err.Error()}
	}
	found := []int64{}
	for at := schedule.Next(time.Unix(asked.From-1, 0).In(location)); !at.IsZero() && at.Unix() < asked.To; at = schedule.Next(at) {
		found = append(found, at.Unix())
	}
	return answer{At: found}
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	encoder := json.NewEncoder(output)
	for input.Scan() {
		var asked query
		result := answer{}
		if err := json.Unmarshal(input.Bytes(), &asked); err != nil {
			result.Error = err.Error()
		} else {
			result = instants(asked)
		}
		if err := encoder.Encode(result); err != nil {
			panic(err)
		}
	}
}
