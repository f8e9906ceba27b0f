package phalatest

import (
	"net/http"
)

// answer is the response of a handler: a status with a body, or a stream.
type answer struct {
	status int
	body   any // JSON, unless raw is set
	raw    []byte
	media  string
	header http.Header
	stream func(w http.ResponseWriter, r *http.Request)
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

func accepted(body any) answer { return answer{status: http.StatusAccepted, body: body} }

func noContent() answer { return answer{status: http.StatusNoContent} }

func text(media, body string) answer {
	return answer{status: http.StatusOK, raw: []byte(body), media: media}
}

// object is a JSON object.
type object = map[string]any

// plain returns an error in the form {"detail": text}.
func plain(status int, detail string) answer {
	return answer{status: status, body: object{"detail": detail}}
}

// structured returns an error with a code.
func structured(status int, code, message string, details ...object) answer {
	if details == nil {
		details = []object{}
	}
	return answer{status: status, body: object{
		"error_code": code, "message": message, "details": details,
		"suggestions": []string{}, "links": []object{},
	}}
}

// refuse returns a structured error as a pointer, the result type of checks; nil means no error.
func refuse(status int, code, message string, details ...object) *answer {
	a := structured(status, code, message, details...)
	return &a
}

// invalid returns a validation error in the form of a 422.
func invalid(message, kind string, loc ...any) answer {
	return answer{status: http.StatusUnprocessableEntity, body: object{
		"detail": []object{{"loc": loc, "msg": message, "type": kind}},
	}}
}

// message returns the text of an error with a code.
func (a *answer) message() string {
	body, _ := a.body.(object)
	text, _ := body["message"].(string)
	return text
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
