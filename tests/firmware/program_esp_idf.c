/* The example, as ESP-IDF's start-up code runs it. */
void app_main(void);
void program(void);

void program(void)
{
    app_main();
}
