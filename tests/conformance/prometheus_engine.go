// Prometheus' engine as a program that `promql_differential.py --engine` asks: series and queries as JSON on stdin,
// answers as JSON on stdout. promtool of Debian is of version 2; this shows the rules of version 3. To build it:
//
//	go mod init engine && go get github.com/prometheus/prometheus@v0.305.0 && go mod tidy && go build -o engine .
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
)

type question struct {
	IntervalMs int64       `json:"interval_ms"`
	Series     [][2]string `json:"series"` // label set, samples in the notation of promtool
	Cases      []struct {
		Expr string `json:"expr"`
		At   int64  `json:"at_ms"`
	} `json:"cases"`
}

// An answer is a list of samples, or null where the query is refused; a value is text, for JSON knows no NaN.
type sample struct {
	Labels map[string]string `json:"labels"`
	Value  string            `json:"value"`
}

type loud struct{}

func (loud) Errorf(format string, arguments ...any) { panic(fmt.Sprintf(format, arguments...)) }
func (loud) FailNow()                               { panic("series that cannot be loaded") }

func text(value float64) string {
	if math.IsInf(value, 0) {
		return fmt.Sprintf("%+f", value)
	}
	return fmt.Sprintf("%.17g", value)
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		panic(err)
	}
	var load strings.Builder
	fmt.Fprintf(&load, "load %dms\n", asked.IntervalMs)
	for _, series := range asked.Series {
		fmt.Fprintf(&load, "  %s %s\n", series[0], series[1])
	}
	storage := promqltest.LoadedStorage(loud{}, load.String())
	defer storage.Close()
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return 60_000 },
	})
	answers := make([][]sample, len(asked.Cases))
	for number, one := range asked.Cases {
		query, err := engine.NewInstantQuery(context.Background(), storage, nil, one.Expr, time.UnixMilli(one.At))
		if err != nil {
			continue
		}
		result := query.Exec(context.Background())
		if result.Err == nil {
			answers[number] = samples(result.Value)
		}
		query.Close()
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}

func samples(value any) []sample {
	found := []sample{}
	switch value := value.(type) {
	case promql.Scalar:
		found = append(found, sample{map[string]string{}, text(value.V)})
	case promql.Vector:
		for _, one := range value {
			names := map[string]string{}
			one.Metric.Range(func(label labels.Label) { names[label.Name] = label.Value })
			found = append(found, sample{names, text(one.F)})
		}
	}
	return found
}
