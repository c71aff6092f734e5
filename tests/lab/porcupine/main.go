// Judges the calls that `stockade lab judge --export FILE` writes, with porcupine, an independent checker of
// linearizability. The models are those of src/stockade/lab/checkers/linearizability/models.py, written a second time.
//
// Prints one line for each object: its key and ok, violation or undecided. Exit code 0: all ok, 1: a violation,
// 3: undecided, 2: the file cannot be read.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

const timeLimit = 60 * time.Second

type line struct {
	Key      string `json:"key"`
	Model    string `json:"model"`
	Initial  string `json:"initial"`
	Client   int    `json:"client"`
	Action   string `json:"action"`
	Argument string `json:"argument"`
	Result   string `json:"result"`
	Ok       bool   `json:"ok"`
	Known    bool   `json:"known"`
	Invoke   int64  `json:"invoke_ns"`
	Return   int64  `json:"return_ns"`
}

type object struct {
	key, model, initial string
	operations          []porcupine.Operation
}

func main() {
	if len(os.Args) != 2 {
		fail("name one file of `stockade lab judge --export`")
	}
	objects, err := read(os.Args[1])
	if err != nil {
		fail(err.Error())
	}
	code := 0
	for _, each := range objects {
		verdict := porcupine.CheckOperationsTimeout(modelOf(each), each.operations, timeLimit)
		switch verdict {
		case porcupine.Ok:
			fmt.Println(each.key, "ok")
		case porcupine.Illegal:
			fmt.Println(each.key, "violation")
			code = 1
		default:
			fmt.Println(each.key, "undecided")
			if code == 0 {
				code = 3
			}
		}
	}
	os.Exit(code)
}

func fail(reason string) {
	fmt.Fprintln(os.Stderr, "error:", reason)
	os.Exit(2)
}

func read(path string) ([]*object, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var objects []*object
	scanner := bufio.NewScanner(file)
	scanner.Buffer(make([]byte, 1<<16), 1<<20)
	for number := 1; scanner.Scan(); number++ {
		var each line
		if err := json.Unmarshal(scanner.Bytes(), &each); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, number, err)
		}
		if each.Model != "" {
			objects = append(objects, &object{key: each.Key, model: each.Model, initial: each.Initial})
			continue
		}
		if len(objects) == 0 {
			return nil, fmt.Errorf("%s, line %d: a call before its object", path, number)
		}
		last := objects[len(objects)-1]
		returned := each.Return
		if !each.Known {
			returned = math.MaxInt64
		}
		// porcupine wants a client to have one call at a time; an unknown one stays open, so each call has its own
		operation := porcupine.Operation{ClientId: len(last.operations), Input: each, Call: each.Invoke, Return: returned}
		last.operations = append(last.operations, operation)
	}
	return objects, scanner.Err()
}

// modelOf lets a call without an answer have happened or not: the state may then be either.
func modelOf(each *object) porcupine.Model {
	step := register
	if each.model == "lock" {
		step = lock
	}
	model := porcupine.NondeterministicModel{
		Init: func() []interface{} { return []interface{}{each.initial} },
		Step: func(state, input, _ interface{}) []interface{} {
			call := input.(line)
			if !call.Known {
				call.Ok = true
				after, possible := step(state.(string), call)
				if possible && after != state.(string) {
					return []interface{}{state, after}
				}
				return []interface{}{state}
			}
			after, possible := step(state.(string), call)
			if !possible {
				return nil
			}
			return []interface{}{after}
		},
		Equal: func(one, other interface{}) bool { return one == other },
	}
	return model.ToModel()
}

func register(state string, call line) (string, bool) {
	switch call.Action {
	case "write":
		return call.Argument, true
	case "read":
		return state, call.Result == state
	case "compare_and_set":
		expected, value, _ := strings.Cut(call.Argument, ">")
		if call.Ok {
			return value, expected == state
		}
		return state, expected != state
	}
	return state, false
}

func lock(state string, call line) (string, bool) {
	if call.Action == "acquire" {
		if call.Ok {
			return call.Argument, state == ""
		}
		return state, state != ""
	}
	if call.Ok {
		return "", state == call.Argument
	}
	return state, state != call.Argument
}
