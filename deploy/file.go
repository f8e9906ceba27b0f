package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxFile bounds what [LoadFile] reads: documents of 200 KiB, each with its revisions.
const maxFile = 16 << 20

// SaveFile writes v, an [App], [State], [Pending] or [Approval], as JSON to a file that only its owner can read (mode
// 0600). The file is replaced as a whole: a crash leaves the old content or the new one, never a part.
func SaveFile(path string, v any) (err error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("save %s: %w", path, err), os.Remove(file.Name()))
		}
	}()
	_, writeErr := file.Write(append(data, '\n'))
	if err := errors.Join(writeErr, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// LoadFile reads a file of [SaveFile], with [ParseApp], [ParseState], [ParsePending] or [ParseApproval] as parse.
func LoadFile[T any](path string, parse func([]byte) (*T, error)) (*T, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("load %s: more than %d bytes", path, maxFile)
	}
	v, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	return v, nil
}
