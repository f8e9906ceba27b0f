package phalatest_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

func readLog(t *testing.T, c *client.Client, source client.LogSource, o client.LogOptions) string {
	t.Helper()
	log, err := c.CVMs.Logs(t.Context(), "web-1", source, o)
	require.NoError(t, err)
	defer log.Close()
	text, err := io.ReadAll(log)
	require.NoError(t, err)
	return string(text)
}

func TestLogsOfACVM(t *testing.T) {
	t.Parallel()
	s, c := start(t, phalatest.WithManualTicks())
	create(t, c, "web-1")
	_, err := c.CVMs.Logs(t.Context(), "web-1", client.LogSerial, client.LogOptions{})
	require.ErrorIs(t, err, client.ErrNoLog, "before the first boot")
	for range 3 {
		s.Tick()
	}
	assert.Equal(t, "create: web-1 is created\ncreate: web-1 is starting\ncreate: web-1 is starting\ncreate: web-1 is running\n",
		readLog(t, c, client.LogSerial, client.LogOptions{}))
	assert.Equal(t, "create: web-1 is running\n", readLog(t, c, client.LogSerial, client.LogOptions{Tail: 1}))
	assert.Empty(t, readLog(t, c, client.LogSerial, client.LogOptions{Until: "1h"}))
	assert.Contains(t, readLog(t, c, client.LogStdout, client.LogOptions{}), "is up\n")
	assert.Empty(t, readLog(t, c, client.LogStderr, client.LogOptions{}))
	stamped := readLog(t, c, client.ContainerLog("dstack-a-1"), client.LogOptions{Timestamps: true, Since: time.Now().Add(-time.Hour).Format(time.RFC3339)})
	at, text, _ := strings.Cut(stamped, " ")
	_, err = time.Parse(time.RFC3339Nano, at)
	require.NoError(t, err)
	assert.Equal(t, "nginx has started\n", text)

	_, err = c.CVMs.Logs(t.Context(), "web-1", client.ContainerLog("db"), client.LogOptions{})
	require.ErrorIs(t, err, client.ErrNoLog)
	_, err = c.CVMs.Logs(t.Context(), "web-1", client.LogSerial, client.LogOptions{Since: "yesterday"})
	require.ErrorIs(t, err, client.ErrBadRequest)
	all, err := json.Marshal(s.Requests())
	require.NoError(t, err)
	assert.Contains(t, string(all), `"CVMs.Logs"`)
	assert.NotContains(t, string(all), "token=0", "tokens of log URLs are redacted")
}

func TestLogs_FollowUntilTheCVMStops(t *testing.T) {
	t.Parallel()
	s, c := start(t, phalatest.WithManualTicks())
	create(t, c, "web-1")
	for range 3 {
		s.Tick()
	}
	log, err := c.CVMs.Logs(t.Context(), "web-1", client.LogSerial, client.LogOptions{Follow: true, Tail: 1})
	require.NoError(t, err)
	lines := bufio.NewScanner(log)
	require.True(t, lines.Scan())
	assert.Equal(t, "create: web-1 is running", lines.Text())
	_, err = c.CVMs.Stop(t.Context(), "web-1")
	require.NoError(t, err)
	s.Tick()
	require.True(t, lines.Scan())
	assert.Equal(t, "power_off: web-1 is stopping", lines.Text())
	require.NoError(t, log.Close())

	_, err = c.CVMs.Logs(t.Context(), "web-1", client.ContainerLog("dstack-a-1"), client.LogOptions{})
	require.ErrorIs(t, err, client.ErrNoLog, "a stopped CVM has no containers")
}

func TestLogs_AreForThoseWhoHaveTheURL(t *testing.T) {
	t.Parallel()
	s, c := start(t, phalatest.Lenient(), phalatest.WithTick(time.Millisecond))
	create(t, c, "web-1")
	require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))
	cvm, err := c.CVMs.Get(t.Context(), "web-1")
	require.NoError(t, err)
	get := func(change func(*url.URL)) *httptest.ResponseRecorder {
		u, err := url.Parse(cvm.Logs.Serial)
		require.NoError(t, err)
		change(u)
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, u.String(), nil))
		return answer
	}
	assert.Equal(t, http.StatusOK, get(func(*url.URL) {}).Code)
	assert.Equal(t, http.StatusForbidden, get(func(u *url.URL) { u.RawQuery = "ch=serial" }).Code)
	assert.Equal(t, http.StatusNotFound, get(func(u *url.URL) { u.Path = "/logs/" + strings.Repeat("0", 40) + "/vm" }).Code)
	assert.Equal(t, http.StatusNotFound, get(func(u *url.URL) { u.RawQuery = strings.Replace(u.RawQuery, "serial", "other", 1) }).Code)
	assert.Equal(t, http.StatusBadRequest, get(func(u *url.URL) { u.RawQuery += "&tail=-1" }).Code)

	// Who does not ask for text gets the messages in base64, as the official command line reads them.
	composition, err := c.CVMs.GetComposition(t.Context(), "web-1")
	require.NoError(t, err)
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, composition.Containers[0].LogEndpoint, nil))
	var line struct {
		Channel string
		Message []byte
	}
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &line), answer.Body.String())
	assert.Equal(t, "stdout", line.Channel)
	assert.Equal(t, "nginx has started\n", string(line.Message))

	_, err = c.CVMs.UpdateVisibility(t.Context(), "web-1", openapi.UpdateVisibilityRequest{PublicSysInfo: true})
	require.NoError(t, err)
	require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))
	assert.Equal(t, http.StatusForbidden, get(func(*url.URL) {}).Code, "logs that are no longer public")
	_, err = c.CVMs.Logs(t.Context(), "web-1", client.LogSerial, client.LogOptions{})
	assert.ErrorIs(t, err, client.ErrNoLog, "%v", err)
}

// A client must not send its API key to the host of the logs.
func TestLogs_SentKeyFailsTheTest(t *testing.T) {
	t.Parallel()
	r := &recorder{T: t}
	s := phalatest.New(r)
	request := httptest.NewRequest(http.MethodGet, "https://0-8090.phala.test/logs/0/vm?ch=serial", nil)
	request.Header.Set("X-API-Key", "phak_mine")
	s.ServeHTTP(httptest.NewRecorder(), request)
	require.Len(t, r.failures, 1)
	assert.Contains(t, r.failures[0], "the API key was sent")
	assert.NotContains(t, r.failures[0], "phak_mine")
}

func TestLogs_OfACloudOnAPort(t *testing.T) {
	t.Parallel()
	s := phalatest.New(t, phalatest.WithTick(time.Millisecond))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c, err := client.New(client.WithAPIKey(s.APIKey), client.WithBaseURL(s.URL()), client.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	create(t, c, "web-1")
	require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))
	assert.Contains(t, readLog(t, c, client.LogSerial, client.LogOptions{}), "web-1 is running")
	assert.Equal(t, "nginx has started\n", readLog(t, c, client.ContainerLog("dstack-a-1"), client.LogOptions{}))
}
