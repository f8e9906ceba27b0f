package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// compare returns an error if a picture shows other text than the rows. How many states of a CVM a program sees
// depends on the load of the machine, so those lines are left out.
func compare(picture []byte, rows []string, columns int) error {
	drawn, err := texts(picture)
	if err != nil {
		return err
	}
	if len(drawn) == 0 {
		return errors.New("the picture has no text")
	}
	drawn = drawn[1:] // the command
	whole := len(drawn) == 0 || drawn[len(drawn)-1] != "…"
	if !whole {
		drawn = drawn[:len(drawn)-1]
	}
	drawn = compared(drawn, columns)
	printed := compared(rows, columns)
	for i, line := range drawn {
		if i == len(printed) || line != printed[i] {
			return fmt.Errorf("it is out of date, run tools/pictures: it shows\n%s\nand the program prints\n%s", line, strings.Join(printed[i:min(i+1, len(printed))], ""))
		}
	}
	if whole && len(printed) > len(drawn) {
		return fmt.Errorf("it is out of date, run tools/pictures: the program also prints\n%s", printed[len(drawn)])
	}
	return nil
}

var state = regexp.MustCompile(`^ *→ state `)

// compared returns the rows as they are drawn, without those that are empty or show a state.
func compared(rows []string, columns int) []string {
	var all []string
	for _, row := range rows {
		if row != "" && !state.MatchString(row) {
			all = append(all, cut(row, columns))
		}
	}
	return all
}

// texts returns the content of each text element.
func texts(picture []byte) ([]string, error) {
	var all []string
	inside := false
	decoder := xml.NewDecoder(bytes.NewReader(picture))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local == "text" {
				all = append(all, "")
				inside = true
			}
		case xml.EndElement:
			if t.Name.Local == "text" {
				inside = false
			}
		case xml.CharData:
			if inside {
				all[len(all)-1] += strings.ReplaceAll(string(t), "\u00a0", " ")
			}
		}
	}
}
