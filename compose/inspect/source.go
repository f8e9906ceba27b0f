package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// source is a docker-compose file whose variables have been replaced, and the lines of its parts.
type source struct {
	text  []byte
	lines map[string]int // of a path such as services.web.image
	nulls []nullVariable
}

// nullVariable is a key without a value in the environment of a service.
type nullVariable struct {
	service, name string
	line          int
}

// readSource replaces the variables of a file that have no default, so that it loads without their values.
func readSource(dockerCompose string) (*source, error) {
	s := &source{lines: map[string]int{}}
	decoder := yaml.NewDecoder(strings.NewReader(dockerCompose))
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("docker-compose file: %w", err)
		}
		for _, node := range document.Content {
			if err := s.replace(node, nil); err != nil {
				return nil, err
			}
		}
		if err := encoder.Encode(&document); err != nil {
			return nil, fmt.Errorf("docker-compose file: %w", err)
		}
	}
	if out.Len() == 0 { // without content the loader would read a file of this name
		return nil, errors.New("docker-compose file: empty compose file")
	}
	s.text = out.Bytes()
	return s, nil
}

// project loads the file as Docker Compose does. A file that makes the loader of Docker Compose panic is refused.
func (s *source) project(ctx context.Context) (project *types.Project, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the loader of Docker Compose fails: %v", cause)
		}
	}()
	return loader.LoadWithContext(ctx, types.ConfigDetails{
		WorkingDir:  "/",
		ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: s.text}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) {
		o.SetProjectName("app", true)
		// Nothing outside of the text is read.
		o.SkipInclude = true
		o.SkipExtends = true
		o.SkipResolveEnvironment = true
		o.SkipResolveLabels = true
		o.ResolvePaths = false
		o.Profiles = []string{"*"}
	})
}

// replace replaces variables in the values of a node, and records their lines.
func (s *source) replace(node *yaml.Node, path []string) error {
	if name := strings.Join(path, "."); s.lines[name] == 0 {
		s.lines[name] = node.Line
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			next := append(path[:len(path):len(path)], key.Value)
			s.lines[strings.Join(next, ".")] = key.Line
			if err := s.replace(node.Content[i+1], next); err != nil {
				return err
			}
		}
	case yaml.SequenceNode:
		for i, item := range node.Content {
			if err := s.replace(item, append(path[:len(path):len(path)], strconv.Itoa(i))); err != nil {
				return err
			}
		}
	case yaml.ScalarNode:
		if node.Tag == "!!null" && len(path) == 4 && path[0] == "services" && path[2] == "environment" {
			s.nulls = append(s.nulls, nullVariable{service: path[1], name: path[3], line: node.Line})
		}
		if node.Tag == "!!str" && strings.Contains(node.Value, "$") {
			text, err := substitute(node.Value, placeholder(path))
			if _, portErr := types.ParsePortConfig(text); err == nil && portErr != nil && len(path) > 2 && path[len(path)-2] == "ports" {
				text, err = substitute(node.Value, addressFirst(node.Value)) // the first variable of three is an address
			}
			if err != nil {
				return fmt.Errorf("docker-compose file, line %d: %w", node.Line, err)
			}
			node.Value = strings.ReplaceAll(text, "$", "$$") // for the loader to read again
			if node.Style == 0 {
				node.Style = yaml.DoubleQuotedStyle // so that it stays a text, as it is for Docker Compose
			}
		}
	}
	return nil
}

// substitute replaces the variables of a text by their defaults, and by value(name) if they have none.
func substitute(text string, value func(string) string) (string, error) {
	missing := map[string]bool{}
	for _, v := range variables(text) {
		missing[v.Name] = missing[v.Name] || v.DefaultValue == "" && v.PresenceValue == ""
	}
	return template.SubstituteWithOptions(text, func(name string) (string, bool) {
		if missing[name] {
			return value(name), true
		}
		return "", false
	}, template.WithoutLogging)
}

// variables returns the variables of a text.
func variables(text string) map[string]template.Variable {
	return template.ExtractVariables(map[string]any{"": text}, nil)
}

// placeholder returns what stands for a variable at a path: a value of the kind that belongs there.
func placeholder(path []string) func(name string) string {
	constant := func(value string) func(string) string { return func(string) string { return value } }
	key := ""
	for i := len(path) - 1; i >= 0 && key == ""; i-- {
		if _, err := strconv.Atoi(path[i]); err != nil {
			key = path[i]
		}
	}
	if len(path) > 2 && (path[2] == "environment" || path[2] == "labels") {
		return literal
	}
	switch key {
	case "ports", "published", "target", "expose", "port":
		return constant("1")
	case "interval", "timeout", "start_period", "start_interval", "stop_grace_period", "delay", "monitor", "window":
		return constant("1s")
	case "mem_limit", "memswap_limit", "mem_reservation", "shm_size", "memory", "size", "rate":
		return constant("1m")
	case "volumes", "tmpfs", "devices":
		return func(name string) string { return "/" + literal(name) }
	case "external", "internal", "attachable", "enable_ipv4", "enable_ipv6", "init", "oom_kill_disable", "privileged", "read_only",
		"nocopy", "required", "disable", "stdin_open", "tty", "use_service_name_alias", "create_host_path":
		return constant("false")
	case "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpus", "cpu_shares", "oom_score_adj",
		"pids_limit", "umask", "hard", "soft", "retries", "replicas", "parallelism", "max_failure_ratio", "max_attempts",
		"max_replicas_per_node", "scale", "nofile", "nproc", "memlock", "mem_swappiness", "pids", "weight", "count", "mode", "uid", "gid":
		return constant("1")
	case "restart":
		return constant("no")
	case "subnet", "ip_range":
		return constant("10.0.0.0/8")
	case "gateway", "ipv4_address":
		return constant("10.0.0.1")
	}
	return literal
}

// addressFirst returns what stands for the variables of a port that begins with an address.
func addressFirst(port string) func(name string) string {
	return func(name string) string {
		if strings.HasPrefix(port, "${"+name) || strings.HasPrefix(port, "$"+name) {
			return "0.0.0.0"
		}
		return "1"
	}
}

// literal is a variable as it is written in a file.
func literal(name string) string { return "${" + name + "}" }
